"""Calls of task functions on their way to the engine: gathered for a moment, handed on as one.

Handing a thousand jobs to the engine costs little more than handing it one, so calls made in a loop
travel together. Whoever waits for a value sends them off at once, so nothing is late by it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from threading import Event, RLock, Thread, current_thread

from jupyter_wf.engine.abc import Job

#: Seconds for which a call may wait for company, and how many of them don't wait any longer.
PAUSE = 0.001
MOST = 128

Send = Callable[[list[Job], Mapping[str, str]], None]


class Calls:
    """Jobs that were called for and not yet sent.

    Parameters
    ----------
    send : callable
        Takes the jobs and the content ids that they know; called from any thread, with the lock.
    lock : RLock
        The workflow's. It is held while jobs are sent, so that none overtakes one that it needs.
    """

    def __init__(self, send: Send, lock: RLock) -> None:
        self._send = send
        self._lock = lock
        self._some = Event()
        self._jobs: list[Job] = []
        self._known: dict[str, str] = {}
        self._thread: Thread | None = None
        self._closed = False
        self._sent = 0.0

    def add(self, job: Job, known: Mapping[str, str]) -> None:
        """Take a job; it is sent at once if the last was a while ago, else with its company."""
        with self._lock:
            self._jobs.append(job)
            self._known.update(known)
            alone = len(self._jobs) == 1 and time.monotonic() - self._sent > PAUSE
            now = alone or len(self._jobs) >= MOST or self._closed
            if self._thread is None and not now:
                self._thread = Thread(target=self._run, name="jupyter-wf-calls", daemon=True)
                self._thread.start()
        if now:
            self.flush()
        elif not self._some.is_set():
            self._some.set()

    def flush(self) -> None:
        """Send what is here."""
        with self._lock:
            jobs, self._jobs = self._jobs, []
            known, self._known = self._known, {}
            if jobs:
                self._sent = time.monotonic()
                self._send(jobs, known)

    def close(self) -> None:
        """Send what is here, and end."""
        self.flush()
        with self._lock:
            self._closed = True
            thread = self._thread
        self._some.set()
        if thread is not None and thread is not current_thread():
            thread.join()

    def _run(self) -> None:
        while not self._closed:
            self._some.wait()
            time.sleep(PAUSE)
            self._some.clear()
            self.flush()
