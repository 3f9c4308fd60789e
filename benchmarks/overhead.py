"""What a task costs beyond its body: ours against bare Dask, on one cluster, in one run.

The same zero-work function with distinct arguments (so that nothing is remembered), one, ten, a
hundred and ten thousand times: ``invoke`` + ``get``, with a store that everything is committed to,
against ``client.submit`` + ``result`` without any. Then the plan of a graph of 10,000 tasks that
are all stored, and the time of ``import jupyter_wf`` against ``import dask``.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import jupyter_wf as wf
from benchmarks.harness import Table, measure, percentiles, report

ROUNDS = {1: 300, 10: 60, 100: 20, 10_000: 3}
GRAPH = 10_000
IMPORTS = 7


def nothing(number: int) -> int:
    """Do no work."""
    return number


task = wf.task(nothing)


def main() -> None:
    """Measure and report."""
    from jupyter_wf.engine.dask import DaskEngine
    from jupyter_wf.engine.dask.cluster import embedded

    table = Table()
    cluster = embedded()
    try:
        with tempfile.TemporaryDirectory() as folder:
            bare = _bare(cluster)
            with wf.Workflow(DaskEngine(cluster), folder) as flow:
                numbers = itertools.count()

                def ours(count: int) -> None:
                    data = [task.invoke(next(numbers)) for _ in range(count)]
                    for one in data:
                        one.get()

                for count, samples in _timed(ours).items():
                    _compare(table, count, samples, bare[count])
                flow.flush()
            _replan(table, folder)
    finally:
        cluster.close()
    _imports(table)
    report(
        "overhead",
        table,
        [
            "dask: client.submit and result, no store; ours: invoke and get, all committed",
            f"plan: {GRAPH:,} tasks of which all are stored, in a workflow that has run none",
        ],
    )


def _timed(work: Callable[[int], object]) -> dict[int, list[float]]:
    return {
        count: measure(lambda: work(count), repeat=rounds, warmup=3 if count < 1000 else 0)  # noqa: B023 - called at once
        for count, rounds in ROUNDS.items()
    }


def _bare(cluster: Any) -> dict[int, list[float]]:
    from distributed import Client

    numbers = itertools.count()
    with Client(cluster, set_as_default=False) as client:
        client.wait_for_workers(1)

        def bare(count: int) -> None:
            for future in [client.submit(nothing, next(numbers)) for _ in range(count)]:
                future.result()

        return _timed(bare)


def _compare(table: Table, count: int, ours: list[float], bare: list[float]) -> None:
    mine, theirs = percentiles(ours), percentiles(bare)
    table.add(
        f"{count:,} tasks",
        p50=mine["p50"],
        p99=mine["p99"],
        dask_p50=theirs["p50"],
        dask_p99=theirs["p99"],
        ratio=mine["p50"] / theirs["p50"],
        per_second=count / mine["p50"],
        dask_per_second=count / theirs["p50"],
    )


def _replan(table: Table, folder: str) -> None:
    with wf.Workflow(wf.LocalEngine(), folder) as flow:
        flow.dry = True
        start = sum(
            count * (rounds + (3 if count < 1000 else 0)) for count, rounds in ROUNDS.items()
        )
        for number in range(start - GRAPH, start):
            task.invoke(number)
        before = time.perf_counter()
        plan = flow.plan()
        first = time.perf_counter() - before
        assert not plan.to_run
        again = percentiles(measure(flow.plan, repeat=5))
        table.add("plan, all cached", p50=again["p50"], p99=again["high"], first=first)


def _imports(table: Table) -> None:
    found = {}
    for module in ("dask", "jupyter_wf"):
        code = (
            f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
        )
        samples = [
            float(
                subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
            )
            for _ in range(IMPORTS)
        ]
        found[module] = percentiles(samples)
    mine, theirs = found["jupyter_wf"], found["dask"]
    table.add(
        "import",
        p50=mine["p50"],
        p99=mine["high"],
        dask_p50=theirs["p50"],
        dask_p99=theirs["high"],
        ratio=mine["p50"] / theirs["p50"],
    )


if __name__ == "__main__":
    main()
