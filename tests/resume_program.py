"""A program that is killed: it finishes what its predecessor left, then starts work of its own.

Run as ``python resume_program.py STORE ROUND``; it says what it does as lines of JSON on stdout.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np

import jupyter_wf as wf

SOURCES = 8
BIG = 200_000
TASKS = 3 * SOURCES + 1


def source(round_: int, index: int) -> np.ndarray[Any, Any]:
    """Return known numbers; each fourth time too many of them to be packed with others."""
    time.sleep(0.02 * (index % 3))
    size = BIG if index % 4 == 0 else 500 + index
    return np.random.default_rng((round_, index)).standard_normal(size)


def total(values: np.ndarray[Any, Any]) -> float:
    """Return a scalar."""
    time.sleep(0.03)
    return float(values.sum())


def describe(values: np.ndarray[Any, Any], low: float) -> dict[str, Any]:
    """Return a tree with arrays and scalars as leaves."""
    time.sleep(0.05)
    return {"ends": values[[0, -1]], "low": low, "parts": [values[:100] * 2, len(values)]}


def gather(*trees: dict[str, Any]) -> np.ndarray[Any, Any]:
    """Return one array made of all."""
    return np.stack([tree["parts"][0] * tree["low"] for tree in trees])


def build(round_: int, call: Any) -> list[Any]:
    """Make the graph of one round; `call(function, *args)` gives what stands for its value."""
    sources = [call(source, round_, index) for index in range(SOURCES)]
    totals = [call(total, values) for values in sources]
    trees = [call(describe, values, low) for values, low in zip(sources, totals, strict=True)]
    return [*sources, *totals, *trees, call(gather, *trees)]


def expected(round_: int) -> list[Any]:
    """Return the right values of one round, by plain calls."""
    return build(round_, lambda function, *args: function(*args))


def equal(left: Any, right: Any) -> bool:
    """Whether two values are the same, down to the last bit."""
    if isinstance(right, dict):
        return left.keys() == right.keys() and all(equal(left[k], right[k]) for k in right)
    if isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    if isinstance(right, np.ndarray):
        return left.dtype == right.dtype and np.array_equal(left, right)
    return bool(left == right)


def say(**news: Any) -> None:
    """Write one line of JSON."""
    print(json.dumps(news), flush=True)


def main(store: str, round_: int) -> None:
    """Finish the round before `round_`, report, start `round_`, and wait for the end."""
    tasks: dict[Any, Any] = {f: wf.task(f) for f in (source, total, describe, gather)}

    def invoke(function: Any, *args: Any) -> Any:
        return tasks[function].invoke(*args)

    with wf.Workflow(wf.DaskEngine(workers=2), store) as flow:
        handles = build(round_ - 1, invoke) if round_ else []
        right = expected(round_ - 1) if round_ else []
        wrong = [
            handle.name
            for handle, value in zip(handles, right, strict=True)
            if not equal(handle.get(), value)
        ]
        flow.run().wait(120)
        states = {task: flow.state_of(task) for task in flow.graph.tasks}
        bodies = sum(flow.engine.executions().values())
        say(names=[h.name for h in handles], states=states, bodies=bodies, wrong=wrong)
        started = time.monotonic()
        build(round_, invoke)
        say(started=True)
        flow.run().wait(120)
        say(seconds=time.monotonic() - started)
        sys.stdin.readline()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
