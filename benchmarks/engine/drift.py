"""The same work ten times in one workflow, and whether the last time takes longer."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.engine.bodies import fork, nothing
from benchmarks.engine.ours import Usage, workflow
from benchmarks.engine.sizes import Sizes

NOTES = ["drift: wall time and processor time (cpu) of a run, over those of the first"]


def rows(sizes: Sizes) -> list[dict[str, Any]]:
    """Measure runs of independent tasks, and of a tree of half as many."""
    count, runs = sizes.drift
    walls, costs = [], []
    with workflow() as flow:
        for run in range(runs + 1):
            base = run * count
            usage, began = Usage(), time.perf_counter()
            for data in [nothing.invoke(base + i) for i in range(count)]:
                data.get()
            fork.invoke(0, base, base + count // 2).get()
            flow.flush()
            walls.append(time.perf_counter() - began)
            usage.stop()
            costs.append(usage.kernel + usage.workers)
    # The first of all is getting warm.
    return [
        {
            "name": f"drift, run {run} of {runs}",
            "tasks": count,
            "seconds": walls[run],
            "over first": walls[run] / walls[1],
            "cpu over first": costs[run] / costs[1],
        }
        for run in (1, runs)
    ]
