"""Tasks of a second each on 64 slots, and what a task costs that only waits."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.engine.bodies import behind, fork, gate, rest
from benchmarks.engine.ours import resident, workflow
from benchmarks.engine.sizes import Sizes

NOTES = [
    "efficiency: seconds slept, of those of all slots; the slots are threads of two processes",
    "pending: memory of the kernel, in which the scheduler is, for each task that waits",
]


def rows(sizes: Sizes) -> list[dict[str, Any]]:
    """Measure independent and nested sleeping tasks, then the memory of waiting ones."""
    from distributed import LocalCluster

    count = sizes.slots * sizes.waves
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=sizes.slots // 2, dashboard_address="127.0.0.1:0"
        ) as cluster,
        workflow(cluster) as flow,
    ):
        for data in [rest.invoke(0.2, -1 - i) for i in range(2 * sizes.slots)]:
            data.get()
        began = time.perf_counter()
        slept = sum([d.get() for d in [rest.invoke(sizes.nap, i) for i in range(count)]])
        alone = slept / sizes.slots / (time.perf_counter() - began)
        fork.invoke(0.0, 0, 20).get()
        began = time.perf_counter()
        slept = fork.invoke(sizes.nap, count, 2 * count).get()
        nested = slept / sizes.slots / (time.perf_counter() - began)
        bytes_each = _pending(sizes.pending)
        flow.flush()
    each = f"{count} x {sizes.nap:g} s, {sizes.slots} slots"
    return [
        {"name": f"efficiency, independent, {each}", "efficiency": alone, "tasks": count},
        {"name": f"efficiency, fork-join, {each}", "efficiency": nested, "tasks": count},
        {"name": "memory of a pending task", "bytes": bytes_each, "tasks": sizes.pending},
    ]


def _pending(count: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        opened = Path(folder) / "open"
        shut = gate.invoke(str(opened))
        behind.invoke(shut, -1)
        before, _ = resident()
        waiting = [behind.invoke(shut, i) for i in range(count)]
        while waiting[-1].state != "waiting":
            time.sleep(0.01)
        after, _ = resident()
        opened.touch()
        for data in waiting:
            data.wait()
    return (after - before) / count
