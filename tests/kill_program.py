"""A program whose machines are killed under it, or that is killed itself.

Run as ``python kill_program.py``. It reads orders as lines of JSON on its standard input: run the
graph of a round on the cluster at an address, with a store and a log. It says how it goes as lines
of JSON on its standard output. When the cluster is lost, the next order names another.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import jupyter_wf as wf

#: Makes 299 tasks, all but one of them added by others as they run.
LEAVES = 60


def note(log: str) -> None:
    """Write down that a body began: one write, which others can't get between."""
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{wf.context().name} {time.time()}\n".encode())
    os.close(file)
    time.sleep(0.004)


@wf.task
def source(log: str, round_: int, index: int) -> Any:
    """Return numbers; each fourth time too many to travel with the answer."""
    note(log)
    return np.arange(20_000 if index % 4 == 0 else 20) + round_ * index


@wf.task
def first(log: str, index: int, values: Any) -> int:
    """Return the first number and the last."""
    note(log)
    return int(values[0]) + int(values[-1])


@wf.task
def add(log: str, low: int, high: int, left: int, right: int) -> int:
    """Return the sum of two numbers."""
    note(log)
    return left + right


@wf.task
def total(log: str, round_: int, low: int, high: int) -> Any:
    """Hand on to tasks that sum up what comes of the numbers `low` to `high`."""
    note(log)
    if high - low == 1:
        return first.invoke(log, low, source.invoke(log, round_, low), delegate=True)
    middle = (low + high) // 2
    left, right = total.invoke(log, round_, low, middle), total.invoke(log, round_, middle, high)
    return add.invoke(log, low, high, left, right, delegate=True)


def expected(round_: int) -> int:
    """Return the result of a round."""
    lengths = [20_000 if i % 4 == 0 else 20 for i in range(LEAVES)]
    return sum(2 * round_ * i + length - 1 for i, length in enumerate(lengths))


def say(**news: Any) -> None:
    """Write one line of JSON."""
    print(json.dumps(news), flush=True)


def order() -> dict[str, Any]:
    """Read the next order; none is the end."""
    line = sys.stdin.readline()
    if not line:
        raise SystemExit
    found: dict[str, Any] = json.loads(line)
    return found


def main() -> None:
    """Do what is ordered, until there are no more orders."""
    say(ready=True)
    while True:
        todo = order()
        with wf.Workflow(wf.DaskEngine(todo["address"]), Path(todo["store"])) as flow:
            began = time.monotonic()
            result = total.invoke(todo["log"], todo["round"], 0, LEAVES)
            say(started=True)
            while (run := flow.run().wait(60)).state != "stored":
                say(lost=flow.why(result.name), state=run.state)
                flow.connect(order()["address"])
                began = time.monotonic()
            seconds = time.monotonic() - began
            value = result.get()
        say(result=value, right=expected(todo["round"]), seconds=seconds)


if __name__ == "__main__":
    main()
