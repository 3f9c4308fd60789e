"""One process of `concurrent.futures`, and the pipe to it, as the engine sees them."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Any

from jupyter_wf.engine.futures.lease import enter, hold


class Link:
    """A process that holds one lease.

    Parameters
    ----------
    name : str
        Of the lease, and of the worker.

    Attributes
    ----------
    pipe : multiprocessing.connection.Connection
        What the process says is read here.
    pid : int
        Of the process; 0 until it says that it has begun.
    executions : mapping
        How many bodies it has run, by name, as it said last.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.executions: Mapping[str, int] = {}
        context = multiprocessing.get_context("spawn")
        self.pipe, self._theirs = context.Pipe()
        self._pool = ProcessPoolExecutor(1, context, initializer=enter, initargs=(self._theirs,))
        self._queue: SimpleQueue[Any] = SimpleQueue()
        self.pid = 0
        lease: Future[None] = self._pool.submit(hold, name)
        # Without this the pipe of a process that died would not end.
        lease.add_done_callback(lambda _: self._theirs.close())
        Thread(target=self._pump, name=f"jupyter-wf-to-{name}", daemon=True).start()

    def send(self, *item: Any) -> None:
        """Have something sent, in order; what a process that is gone does not hear is lost."""
        self._queue.put(item)

    def _pump(self) -> None:
        # Sending may block until the process listens; whoever has something to say must not.
        while (item := self._queue.get()) is not None:
            with suppress(OSError):
                self.pipe.send(item)

    def kill(self) -> None:
        """End the process, if it has begun."""
        if self.pid:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def end(self) -> None:
        """Wait until the process has ended, whose lease has, and let go of it."""
        self._pool.shutdown()
        self.pid = 0
        self._queue.put(None)
        self.pipe.close()
