"""Fractions of devices and a whole one on two fake GPUs: ours against bare Dask's resources.

Three tasks of 0.3, three of 0.7 and one of a whole GPU, a second each, are two seconds of work for
two devices if they are packed without a gap. The tasks sleep; the devices exist in name only.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

import jupyter_wf as wf
from benchmarks.harness import Table, measure, percentiles, report
from jupyter_wf.engine.abc import Engine

GPUS = (0.3, 0.3, 0.3, 0.7, 0.7, 0.7, 1.0)
DEVICES = 2
SLOTS = 4
SECONDS = 1.0
ROUNDS = 5


def nap(_: int) -> None:
    """Sleep."""
    time.sleep(SECONDS)


def main() -> None:
    """Measure and report."""
    from distributed import LocalCluster

    from jupyter_wf.engine.dask import DaskEngine

    table = Table()
    ideal = SECONDS * sum(GPUS) / DEVICES
    table.add("ideal", p50=ideal, low=ideal, high=ideal)
    partition = {"workers": DEVICES * SLOTS, "gpu": DEVICES}
    _add(table, "ours, threads", _ours(wf.LocalEngine(1, {"gpu": partition})))
    with LocalCluster(
        n_workers=DEVICES,
        threads_per_worker=SLOTS,
        host="127.0.0.1",
        dashboard_address=None,
        resources={"GPU": 1},
    ) as cluster:
        _add(table, "dask", _bare(cluster))
        _add(table, "ours, dask", _ours(DaskEngine(cluster)))
    table.compare("p50", "ideal")
    report(
        "packing",
        table,
        [
            f"{GPUS} of a GPU, {SECONDS:g} s each, on {DEVICES} devices of {SLOTS} slots",
            "dask: client.submit(..., resources={'GPU': ...}); ours: @wf.task(gpu=...)",
        ],
    )


def _add(table: Table, name: str, samples: list[float]) -> None:
    found = percentiles(samples)
    table.add(name, p50=found["p50"], low=found["low"], high=found["high"])


def _ours(engine: Engine) -> list[float]:
    tasks = {gpu: wf.task(gpu=gpu)(nap) for gpu in GPUS}
    numbers = itertools.count()

    def once() -> None:
        for data in [tasks[gpu].invoke(next(numbers)) for gpu in GPUS]:
            data.wait()

    with wf.Workflow(engine, "memory://"):
        return _timed(once)


def _bare(cluster: Any) -> list[float]:
    from distributed import Client

    numbers = itertools.count()
    with Client(cluster, set_as_default=False) as client:

        def once() -> None:
            started = [
                client.submit(nap, next(numbers), resources={"GPU": gpu}, pure=False)
                for gpu in GPUS
            ]
            for future in started:
                future.result()

        return _timed(once)


def _timed(work: Callable[[], object]) -> list[float]:
    return measure(work, repeat=ROUNDS, warmup=1)


if __name__ == "__main__":
    main()
