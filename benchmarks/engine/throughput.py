"""Many tasks that do nothing: independent ones, and a tree of tasks that add tasks."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.engine.bodies import WIDTH, fork, nothing, size
from benchmarks.engine.ours import Usage, workflow
from benchmarks.engine.peers import Peers
from benchmarks.engine.sizes import Sizes

NOTES = [
    f"fork-join: each fork adds {WIDTH} tasks and hands on to a join, which reads them",
    "peers are given such a tree from outside, as a fork would block a process of theirs",
    "kernel_us, workers_us: processor time a task, that of the scheduler in the kernel's",
    "durable_per_second: until all is stored",
]


def rows(sizes: Sizes, peers: Peers) -> list[dict[str, Any]]:
    """Measure ours, and the peers with as many tasks as they can take."""
    found = []
    with workflow() as flow:
        for count in sizes.throughput:
            base = 10 * count
            usage, began = Usage(), time.perf_counter()
            for data in [nothing.invoke(base + i) for i in range(count)]:
                data.get()
            seconds = time.perf_counter() - began
            flow.flush()
            found.append(_row("independent", count, seconds, usage.stop(), began))
    with workflow() as flow:
        for count in sizes.throughput:
            base, tasks = 10 * count, size(0, count)
            usage, began = Usage(), time.perf_counter()
            total = fork.invoke(0, base, base + count).get()
            seconds = time.perf_counter() - began
            flow.flush()
            assert total == sum(range(base, base + count))
            found.append(_row("fork-join", tasks, seconds, usage.stop(), began))
    few = min(sizes.peers, *sizes.throughput)
    for who, taken in peers.ask("throughput", count=few).items():
        for shape, (tasks, seconds) in taken.items():
            found.append({"name": shape, "who": who, "tasks": tasks, "per_second": tasks / seconds})
    return sorted(found, key=lambda row: str(row["name"]), reverse=True)


def _row(name: str, tasks: int, seconds: float, usage: Usage, began: float) -> dict[str, Any]:
    return {
        "name": name,
        "who": "ours",
        "tasks": tasks,
        "per_second": tasks / seconds,
        "durable_per_second": tasks / (time.perf_counter() - began),
        "kernel_us": 1e6 * usage.kernel / tasks,
        "workers_us": 1e6 * usage.workers / tasks,
    }
