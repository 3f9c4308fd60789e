"""A workflow with all that belongs to it, and what its processes take."""

from __future__ import annotations

import gc
import itertools
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil

import jupyter_wf as wf
from benchmarks.engine.bodies import nothing, rest


@contextmanager
def workflow(cluster: Any = None) -> Iterator[wf.Workflow]:
    """Give a workflow with a store of its own, on `cluster` or an embedded one, all started.

    Keys, events, journal, telemetry and write-behind are on, as always.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        wf.Workflow(wf.DaskEngine(cluster, None if cluster else 2), folder) as flow,
    ):
        for data in [nothing.invoke(-1 - i) for i in range(200)]:
            data.get()
        numbers = itertools.count()
        while len(flow.engine.offers()) < 2:
            for data in [rest.invoke(0.05, -1 - next(numbers)) for _ in range(4)]:
                data.wait()
        flow.flush()
        yield flow


class Usage:
    """Processor time and memory of this process and its workers, since it was made.

    Attributes
    ----------
    kernel, workers : float
        Seconds of processor time since then, after `stop`. The kernel's has the scheduler in it.
    """

    def __init__(self) -> None:
        gc.collect()
        self.kernel, self.workers = -time.process_time(), -_seconds()

    def stop(self) -> Usage:
        """Take the time."""
        self.kernel += time.process_time()
        self.workers += _seconds()
        return self


def resident() -> tuple[int, int]:
    """Return the bytes of memory that this process has, and those of its largest worker."""
    here = psutil.Process().memory_info().rss
    return here, max((one.memory_info().rss for one in _workers()), default=0)


def _seconds() -> float:
    return sum(sum(one.cpu_times()[:2]) for one in _workers())


def _workers() -> list[psutil.Process]:
    found: list[psutil.Process] = psutil.Process().children(recursive=True)
    return found
