"""What moving and keeping values costs beside computing them: as little as the rest of the machine.

Write-behind: a chain of tasks that each compute for 50 ms and give 8 MB, with a store that all is
committed to, and without; both in turn, in one run. Then a chain of 20 tasks of 0.2 s that give
64 MB each, committed, against the computing alone. Last, pairs of a task that makes 64 MB on one
worker and one that reads it on the other, against the computing alone.
"""

from __future__ import annotations

import tempfile
import time
from statistics import median
from typing import Any

import numpy as np

import jupyter_wf as wf
from benchmarks.harness import Table, report

ROUNDS = 5


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
            kept, lost = [], []
            for number in range(ROUNDS):
                lost.append(chain(cluster, "memory://", 20, 0.05, 8_000_000, 2 * number))
                kept.append(chain(cluster, folder, 20, 0.05, 8_000_000, 2 * number + 1))
            base = median(lost)
            table.add("8 MB per 50 ms, no store", seconds=base, ratio=1.0, low=min(lost) / base)
            ratios = sorted(k / b for k, b in zip(kept, lost, strict=True))
            table.add(
                "8 MB per 50 ms, committed",
                seconds=median(kept),
                ratio=median(ratios),
                low=ratios[0],
                high=ratios[-1],
            )
            large = [chain(cluster, folder, 20, 0.2, 64_000_000, 90 + i) for i in range(3)]
            table.add(
                "20 × (0.2 s, 64 MB), committed",
                seconds=median(large),
                ratio=median(large) / 4.0,
                low=min(large) / 4.0,
                high=max(large) / 4.0,
            )
    finally:
        cluster.close()
    report(
        "overlap",
        table,
        [
            "committed: until the last value is computed; what is still to be written then is not"
            " waited for",
            "20 × (0.2 s, 64 MB): ratio to 4 s of computing",
        ],
    )


def chain(cluster: Any, store: str, count: int, seconds: float, nbytes: int, salt: int) -> float:
    """Return the wall seconds of a chain."""
    from jupyter_wf.engine.dask import DaskEngine

    with wf.Workflow(DaskEngine(cluster), store) as flow:
        task = wf.task(step)
        value = flow.put(np.zeros(1))
        task.invoke(value, 0.0, 8, -1 - salt if salt < 0 else 10**6 + salt).wait()
        before = time.perf_counter()
        for number in range(count):
            value = task.invoke(value, seconds, nbytes, 1000 * salt + number)
        value.wait("computed") if False else value.wait()
        took = time.perf_counter() - before
        flow.flush()
        return took


if __name__ == "__main__":
    main()
