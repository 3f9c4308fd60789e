"""A program that is killed, or whose scheduler is, at half of its tasks.

``python -m benchmarks.engine.loss_program ADDRESS STORE LOG COUNT SECONDS``; an empty address is an
embedded cluster. It says as lines of JSON when workers came, when all was lost, and when all was
done; after a loss it reads another address.
"""

from __future__ import annotations

import json
import sys
import time

import jupyter_wf as wf
from benchmarks.engine.bodies import noted
from jupyter_wf.events import Event, WorkerChanged


def say(**news: float) -> None:
    """Write one line of JSON."""
    print(json.dumps(news), flush=True)


def listen(events: tuple[Event, ...]) -> None:
    """Say when workers come."""
    for event in events:
        if isinstance(event, WorkerChanged) and event.state == "joined":
            say(joined=time.monotonic())


def main(address: str, store: str, log: str, count: int, seconds: float) -> None:
    """Run the tasks until all are stored."""
    with wf.Workflow(wf.DaskEngine(address or None, 2), store) as flow:
        flow.subscribe(listen)
        for number in range(count):
            noted.invoke(log, seconds, number)
        while flow.run().wait(120).state != "stored":
            say(lost=time.monotonic())
            flow.connect(sys.stdin.readline().strip())
        say(done=time.monotonic())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5]))
