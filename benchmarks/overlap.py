"""What moving and keeping values costs beside computing them: as little as the rest of the machine.

Write-behind: a chain of tasks that each compute for 50 ms and give 8 MB, with a store that all is
committed to, and without; both in turn, in one run. Then chains of tasks of 0.2 s that give 64 MB
each, committed, against the computing alone.
"""

from __future__ import annotations

import tempfile
import time
from statistics import median
from typing import Any

import numpy as np

import jupyter_wf as wf
from benchmarks.harness import Table, report
from jupyter_wf.events import Event, TaskComputed

ROUNDS = 5
COUNT = 20


def step(before: Any, seconds: float, nbytes: int, salt: int) -> Any:
    """Compute for so many seconds of this thread, then give so many bytes like none before."""
    until = time.thread_time() + seconds
    found = np.empty(nbytes // 8)
    found[:] = np.random.default_rng(salt).random()
    found[: len(before)] += before[0]
    work = np.random.default_rng(salt).random(4096)
    while time.thread_time() < until:
        work = np.sort(np.sin(work))
    return found


def main() -> None:
    """Measure and report."""
    from jupyter_wf.engine.dask.cluster import embedded

    table = Table()
    cluster = embedded(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            lost, kept = [], []
            for salt in range(ROUNDS):
                lost.append(chain(cluster, "memory://", 0.05, 8_000_000, 2 * salt))
                kept.append(chain(cluster, folder, 0.05, 8_000_000, 2 * salt + 1))
            _add(table, "8 MB per 50 ms, no store", lost)
            _add(table, "8 MB per 50 ms, committed", kept, [wall for wall, _ in lost])
            large = [chain(cluster, folder, 0.2, 64_000_000, 100 + i) for i in range(ROUNDS)]
            _add(table, "64 MB per 0.2 s, committed", large)
    finally:
        cluster.close()
    report(
        "overlap",
        table,
        [
            f"chains of {COUNT} tasks on one worker, in turn; medians of {ROUNDS}",
            "wall: until the last value can be had; it is written meanwhile, and after",
            "wall / bodies: over the seconds in the tasks' bodies, of the same run",
            "wall / no store: over the wall seconds of the run before it, without a store",
        ],
    )


def _add(
    table: Table, name: str, runs: list[tuple[float, float]], base: list[float] | None = None
) -> None:
    walls = [wall for wall, _ in runs]
    ratios = sorted(wall / bare for wall, bare in zip(walls, base, strict=True)) if base else None
    table.add(
        name,
        wall=median(walls),
        bodies=median(bodies for _, bodies in runs),
        **{"wall / bodies": median(wall / bodies for wall, bodies in runs)},
        **{"wall / no store": median(ratios) if ratios else None},
        low=ratios[0] if ratios else None,
        high=ratios[-1] if ratios else None,
    )


def chain(cluster: Any, store: str, seconds: float, nbytes: int, salt: int) -> tuple[float, float]:
    """Run a chain; return its wall seconds, and those in the bodies of its tasks."""
    from jupyter_wf.engine.dask import DaskEngine

    events: list[Event] = []
    engine = DaskEngine(cluster)
    with wf.Workflow(engine, store) as flow:
        task = wf.task(step)
        value = task.invoke(np.zeros(1), 0.0, 8, 10**6 + salt).wait()
        undo = engine.subscribe(events.extend)
        before = time.perf_counter()
        for number in range(COUNT):
            value = task.invoke(value, seconds, nbytes, 1000 * salt + number)
        value.wait()
        wall = time.perf_counter() - before
        flow.flush()
        undo()
        return wall, sum(one.seconds for one in events if isinstance(one, TaskComputed))


if __name__ == "__main__":
    main()
