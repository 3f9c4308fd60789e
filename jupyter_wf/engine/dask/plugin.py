"""On a Dask worker: the plugin that gives leases, and serves engines and peers."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from threading import Lock
from typing import Any

import psutil
from distributed import Status, WorkerPlugin

from jupyter_wf.encodings import Encoded
from jupyter_wf.engine.dask.fair import FairShare
from jupyter_wf.engine.dask.heirs import Heirs
from jupyter_wf.engine.dask.large import LARGE, Sender
from jupyter_wf.engine.dask.lease import PLUGIN
from jupyter_wf.engine.dask.memory import LateStore
from jupyter_wf.engine.dask.notice import heed
from jupyter_wf.engine.dask.session import Session
from jupyter_wf.engine.dask.wire import encoded_out, pack
from jupyter_wf.engine.output import redirection

#: Where workers that can give leases are announced.
CAME = "wf-came"
#: Seconds between two samples of what a worker uses.
EVERY = 0.5
#: Seconds after which the memory is looked at, and the part of its limit from which it is told.
OFTEN = 0.1
FILLING = 0.7
#: Seconds for which a worker that is to go lets what runs come to its end.
STAY = 2.0
#: Seconds after which Python lets another thread run; the default lets the loop wait for 5 ms.
SWITCH = 5e-4


class LeasePlugin(WorkerPlugin):
    """Gives a worker leases. One serves all sessions; registering it again changes nothing."""

    idempotent = True
    name = PLUGIN

    async def setup(self, worker: Any) -> None:
        """Take up work on a worker, before any lease comes."""
        self.worker = worker
        self.sessions: dict[str, Session] = {}
        self.share = FairShare()
        self._stores: dict[str, LateStore] = {}
        self._lock = Lock()
        self._undo: Callable[[], None] = redirection.install()
        self._switch = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH)
        self._heirs = Heirs(worker)
        self._handlers = {
            "wf_open": self.open,
            "wf_fetch": self.fetch,
            "wf_tally": self.tally,
            "wf_flush": self.flush,
            "wf_take_over": self._heirs.take_over,
            "wf_give_way": self._heirs.give_way,
        }
        worker.handlers.update(self._handlers)
        self._sender = Sender(worker, self._value)
        await worker.set_resources(wf=worker.state.nthreads)
        worker.log_event(CAME, {"worker": worker.address})
        self.leaving = False
        self._sampler = asyncio.create_task(self._sample())
        loop = asyncio.get_running_loop()
        self._unheed = heed(lambda: loop.call_soon_threadsafe(self._close))

    async def teardown(self, worker: Any) -> None:
        """Hand back what is not begun, write what was computed, and leave a worker as it was."""
        self._sampler.cancel()
        self._sender.close()
        self._unheed()
        self._leave()
        await asyncio.gather(*[session.finish(STAY) for session in [*self.sessions.values()]])
        self._heirs.close()
        for name in self._handlers:
            worker.handlers.pop(name, None)
        sys.setswitchinterval(self._switch)
        self._undo()

    def _leave(self) -> None:
        """Take no more work: the worker is about to go."""
        if not self.leaving:
            self.leaving = True
            for session in [*self.sessions.values()]:
                session.hand_back()

    def _close(self) -> None:
        # The nanny is not told, so that it starts another worker, unless it is to end itself.
        closing = self.worker.close(timeout=STAY, nanny=False, reason="SIGTERM")
        self._closing = asyncio.ensure_future(closing)

    def session(self, name: str, store: str | None) -> Session:
        """Return the session of this name, made if need be."""
        with self._lock:
            found = self.sessions.get(name)
            if found is None or found.gone:
                late = None
                if store is not None:
                    late = self._stores.setdefault(store, LateStore(store))
                found = self.sessions[name] = Session(self.worker, name, late)
            return found

    # -- handlers ------------------------------------------------------------------------------

    async def open(self, comm: Any, session: str, store: str | None) -> Status:
        """Speak with an engine until it goes; what it computed is still written."""
        found = self.session(session, store)
        await found.serve(comm)
        await found.finish()
        await asyncio.to_thread(found.release)
        self.forget(found)
        return Status.dont_reply

    def forget(self, session: Session) -> None:
        """Let go of a session that has ended; another of its name may be here by now."""
        with self._lock:
            if self.sessions.get(session.name) is session:
                del self.sessions[session.name]

    async def fetch(self, session: str, content: str, *, here: bool = False) -> dict[str, Any]:
        """Return a value to a peer or an engine, or if it is large, where to ask for it."""
        return await asyncio.to_thread(self._packed, session, content, here=here)

    def _packed(self, session: str, content: str, *, here: bool) -> dict[str, Any]:
        value = self._value(session, content)
        if value is None:
            return pack(None)
        if value.nbytes >= LARGE and self._sender.place is not None and not here:
            return {"at": self._sender.place}
        return pack(encoded_out(value))

    def _value(self, session: str, content: str) -> Encoded | None:
        found = self.sessions.get(session)
        return None if found is None else found.bench.memory.get(content)

    async def tally(self, session: str) -> dict[str, int]:
        """Count, by name, the bodies that were run here for a session."""
        found = self.sessions.get(session)
        return dict(found.bench.executions) if found is not None else {}

    async def flush(self, session: str) -> None:
        """Return when all that a session computed here is durable."""
        found = self.sessions.get(session)
        while found is not None and found.writer is not None and found.writer.busy:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    async def _sample(self) -> None:
        process = psutil.Process(os.getpid())
        process.cpu_percent()
        told = 0.0
        while True:
            await asyncio.sleep(OFTEN)
            manager = self.worker.memory_manager
            limit = (manager.memory_limit if manager is not None else 0) or 0
            memory = process.memory_info().rss
            # Who dies of it may not live to the next sample.
            if time.monotonic() < told + EVERY and not (limit and memory > FILLING * limit):
                continue
            told = time.monotonic()
            if self.worker.status is Status.closing_gracefully:
                self._leave()
            elif self.worker.status is Status.running:
                self.leaving = False
            apart = sum(one.bench.processes.resident() for one in [*self.sessions.values()])
            sample = (process.cpu_percent() / 100, memory + apart, limit)
            for session in [*self.sessions.values()]:
                if session.connected:
                    session.tell(("sample", *sample))
