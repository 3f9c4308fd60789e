"""What the tasks do: nothing, sleep, add tasks, or hand on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import jupyter_wf as wf

#: Into how many parts a fork divides what it was given.
WIDTH = 10


@wf.task
def nothing(number: int) -> int:
    """Do no work."""
    return number


@wf.task
def rest(seconds: float, number: int) -> float:  # noqa: ARG001 - equal calls are one task
    """Sleep, and return for how long."""
    began = time.perf_counter()
    time.sleep(seconds)
    return time.perf_counter() - began


@wf.task
def noted(log: str, seconds: float, number: int) -> int:
    """Write down that a body ran, and sleep."""
    with Path(log).open("a", encoding="utf-8") as file:
        file.write(f"{number}\n")
    time.sleep(seconds)
    return number


@wf.task
def gate(path: str) -> int:
    """Wait until a file is there."""
    while not Path(path).exists():
        time.sleep(0.02)
    return 0


@wf.task
def behind(gate: int, number: int) -> int:
    """Do no work, once the gate is open."""
    return gate + number


@wf.task
def join(*parts: float) -> float:
    """Add up."""
    return sum(parts)


@wf.task
def fork(seconds: float, low: int, high: int) -> Any:
    """Divide, and hand on to who puts together; at the bottom are tasks that sleep, or not."""
    step = max(1, -(-(high - low) // WIDTH))
    parts = []
    for start in range(low, high, step):
        end = min(start + step, high)
        if end - start > 1:
            parts.append(fork.invoke(seconds, start, end))
        elif seconds:
            parts.append(rest.invoke(seconds, start))
        else:
            parts.append(nothing.invoke(start))
    return join.invoke(*parts, delegate=True)


def size(low: int, high: int) -> int:
    """Return of how many tasks such a fork consists.

    Examples
    --------
    >>> size(0, 10), size(0, 100)
    (12, 122)
    """
    step = max(1, -(-(high - low) // WIDTH))
    parts = [(start, min(start + step, high)) for start in range(low, high, step)]
    return 2 + sum(size(*part) if part[1] - part[0] > 1 else 1 for part in parts)


@wf.task
def step(left: int, base: int) -> Any:
    """Hand on to a step that has one less before it."""
    return step.invoke(left - 1, base, delegate=True) if left else base
