"""The processes in which a worker runs the tasks of environments, kept for the next task."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Lock, Timer

from jupyter_wf.engine.environments.overlay import Say, place_of
from jupyter_wf.engine.environments.process import Process
from jupyter_wf.environment import Environment

#: Seconds for which a process without work is kept, and how many of them.
IDLE = 60.0
MOST_IDLE = 8


class Processes:
    """The processes of one worker's environments; each runs one attempt at a time."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._idle: list[tuple[float, Process]] = []
        self._all: set[Process] = set()
        self._timer: Timer | None = None
        self._closed = False

    @contextmanager
    def one(self, environment: Environment, say: Say) -> Iterator[Process]:
        """Give a process of an environment, which is kept unless the block raises.

        Parameters
        ----------
        environment : Environment
            With its lock; it is built if need be.
        say : callable
            Takes (steps done, steps, text) meanwhile.

        Raises
        ------
        PackageError
            The environment can't be built.
        """
        process = self._taken(environment, say)
        try:
            yield process
        except BaseException:
            self._end(process, kill=True)
            raise
        self._give(process)

    def resident(self) -> int:
        """Return the bytes of memory that the processes have."""
        import psutil

        total = 0
        with self._lock:
            running = [*self._all]
        for process in running:
            with suppress(psutil.Error):
                total += psutil.Process(process.pid).memory_info().rss
        return total

    def close(self) -> None:
        """End those without work; the others end with their attempt."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        for _, process in idle:
            self._end(process)

    def _taken(self, environment: Environment, say: Say) -> Process:
        with self._lock:
            for at in reversed(range(len(self._idle))):
                process = self._idle[at][1]
                if process.environment == environment:
                    del self._idle[at]
                    return process
        place = place_of(environment, say)
        try:
            process = Process(environment, place)
        except BaseException:
            place.close()
            raise
        with self._lock:
            self._all.add(process)
        return process

    def _give(self, process: Process) -> None:
        spare = process
        with self._lock:
            if not self._closed:
                self._idle.append((time.monotonic(), process))
                self._wind()
                if len(self._idle) <= MOST_IDLE:
                    return
                spare = self._idle.pop(0)[1]
        self._end(spare)

    def _end(self, process: Process, *, kill: bool = False) -> None:
        with self._lock:
            self._all.discard(process)
        process.end(kill=kill)

    def _wind(self) -> None:
        """Have a look at the idle ones when the oldest has been idle for long enough."""
        if self._timer is None and self._idle:
            due = self._idle[0][0] + IDLE - time.monotonic()
            self._timer = Timer(max(due, 0.0), self._expire)
            self._timer.daemon = True
            self._timer.start()

    def _expire(self) -> None:
        with self._lock:
            self._timer = None
            old = [p for since, p in self._idle if time.monotonic() - since >= IDLE]
            self._idle = [one for one in self._idle if one[1] not in old]
            if not self._closed:
                self._wind()
        for process in old:
            self._end(process)
