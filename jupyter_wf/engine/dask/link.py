"""An engine's end of the stream to one worker."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from threading import Lock
from typing import Any, Literal

from distributed.comm import CommClosedError
from distributed.core import connect

from jupyter_wf.encodings import Encoded
from jupyter_wf.engine.dask.wire import attempt_out, code_id, encoded_out, pack, unpack
from jupyter_wf.engine.signals import HandOver
from jupyter_wf.events import WorkerChanged
from jupyter_wf.graph import Code
from jupyter_wf.resources import Offer

#: Seconds between two signs of life.
BEAT = 1.0
#: Seconds for which orders may wait for each other, in a burst.
GATHER = 1e-3
BURST = 8


class Link:
    """Sends orders to a worker and passes on its news, in order, until the stream closes.

    Parameters
    ----------
    address : str
    loop : asyncio loop
        On which everything but `send` runs.
    heard : callable
        Takes (link, items) for each message.
    """

    def __init__(
        self,
        address: str,
        loop: asyncio.AbstractEventLoop,
        heard: Callable[[Link, list[tuple[Any, ...]]], None],
    ) -> None:
        self.address = address
        self.name = address
        self.known = False
        self.leases: set[str] = set()
        self.nanny: str | None = None
        self.threads = 1
        self.partition: str | None = None
        self.offer: Offer | None = None
        self.born = time.monotonic()
        #: What part of its memory limit the worker used when last heard.
        self.full = 0.0
        self.suspect = False
        self.given_up = False
        self._why = "its process ended"
        self.last = time.monotonic()
        self._loop = loop
        self._heard = heard
        self._items: list[tuple[Any, ...]] = []
        self._lock = Lock()
        self._some = asyncio.Event()
        self._codes: dict[tuple[str, str, int, str], int] = {}
        #: Codes that the worker sent, by its numbers.
        self.learnt: dict[int, Code] = {}
        self._comm: Any = None

    def changed(
        self, state: Literal["joined", "left", "leaving", "suspect"], why: str = ""
    ) -> WorkerChanged:
        """Return the event that says what has become of this worker."""
        return WorkerChanged(time.time(), self.address, state, self.name, self.threads, why)

    def send(self, *items: tuple[Any, ...]) -> None:
        """Have items sent, in order; any thread may call."""
        with self._lock:
            first = not self._items
            self._items.extend(items)
        if first and _runs_here(self._loop):
            self._some.set()
        elif first:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._some.set)

    def hand(self, order: HandOver, values: Iterable[Encoded]) -> None:
        """Send attempts, and before them the codes and values that they need."""
        given = [encoded_out(value) for value in values]
        items: list[tuple[Any, ...]] = [("values", given)] if given else []
        attempts = []
        for attempt in order.attempts:
            known = code_id(attempt.job.code)
            number = self._codes.get(known)
            if number is None:
                number = self._codes[known] = len(self._codes)
                items.append(("code", number, attempt.job.code))
            attempts.append(attempt_out(attempt, number))
        self.send(*items, ("hand", order.nonce, attempts))

    async def run(self, session: str, store: str | None, connection: dict[str, Any]) -> str:
        """Connect and speak until the stream closes; return why it did."""
        try:
            self._comm = comm = await connect(self.address, **connection)
        except OSError as error:
            return f"it can't be reached ({error})"
        # To find out whether a message were better packed by a thread takes longer than to pack it.
        comm.allow_offload = False
        tasks = asyncio.create_task(self._send(comm)), asyncio.create_task(self._beat())
        try:
            opening = {"op": "wf_open", "session": session, "store": store, "reply": False}
            await comm.write(opening)
            while True:
                items = unpack(await comm.read())
                self.last = time.monotonic()
                self._heard(self, items)
        except (CommClosedError, OSError):
            return self._why
        finally:
            for task in tasks:
                task.cancel()
            comm.abort()

    def abort(self, why: str) -> None:
        """Give a worker up: whatever it still says is not heard."""
        self.given_up, self._why = True, why
        if self._comm is not None:
            self._comm.abort()

    async def close(self) -> None:
        """Send what is waiting, then close the stream."""
        if self._comm is not None and not self._comm.closed():
            with self._lock:
                items, self._items = self._items, []
            with contextlib.suppress(OSError):
                if items:
                    await self._comm.write(pack(items))
                await self._comm.close()

    async def _beat(self) -> None:
        """Tell leases, by words that may be empty, that their owner is still there."""
        while True:
            await asyncio.sleep(BEAT)
            self.send(("here",))

    async def _send(self, comm: Any) -> None:
        last, alone = 0.0, 0
        while True:
            await self._some.wait()
            self._some.clear()
            with self._lock:
                items, self._items = self._items, []
            with contextlib.suppress(OSError):
                await comm.write(pack(items))
            # In a burst (several orders at once, or one by one without an answer in between), each
            # wake-up costs whoever submits a turn of the interpreter's lock.
            alone = alone + 1 if self.last < last else 0
            last = time.monotonic()
            if len(items) > BURST or alone > BURST:
                await asyncio.sleep(GATHER)


def _runs_here(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether this is the loop's thread, in which nobody needs to wake it up."""
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
