"""Chains of tasks of which each hands its output on to the next: time and memory along them."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.engine.bodies import step
from benchmarks.engine.ours import Usage, resident, workflow
from benchmarks.engine.sizes import Sizes
from jupyter_wf.events import Event, TasksSpawned

NOTES = [
    "delegation: first and last are seconds a step in the first and the last tenth of a chain",
    "grew: bytes of memory from the middle of the chain to its end, when what is bounded is full",
]


def rows(sizes: Sizes) -> list[dict[str, Any]]:
    """Measure chains of each length."""
    found = []
    with workflow() as flow:
        step.invoke(100, -1).get()
        for count in sizes.steps:
            marks = [(time.perf_counter(), *resident())]
            spawned = [0]

            def listen(
                events: tuple[Event, ...],
                count: int = count,
                marks: list[tuple[float, int, int]] = marks,
                spawned: list[int] = spawned,
            ) -> None:
                spawned[0] += sum(type(event) is TasksSpawned for event in events)
                if spawned[0] >= len(marks) * count / 10:
                    marks.append((time.perf_counter(), *resident()))

            undo = flow.subscribe(listen)
            usage = Usage()
            assert step.invoke(count, count).get() == count
            usage.stop()
            undo()
            (start, *_), (early, *_) = marks[:2]
            (late, *_), (end, *high) = marks[-2:]
            _, *middle = marks[len(marks) // 2]
            tenths = len(marks) - 1
            found.append(
                {
                    "name": "delegation",
                    "tasks": count,
                    "seconds_a_step": (end - start) / count,
                    "first": (early - start) / count * tenths,
                    "last": (end - late) / count * tenths,
                    "kernel_us": 1e6 * usage.kernel / count,
                    "workers_us": 1e6 * usage.workers / count,
                    "kernel_grew": high[0] - middle[0],
                    "worker_grew": high[1] - middle[1],
                }
            )
    return found
