"""On a Dask worker: the plugin that holds leases, and the sessions to whose engines it speaks.

A lease is an ordinary Dask task that sits in a slot and runs what it is handed. All that goes
between an engine and a worker goes over one stream, in order, both ways; its closing is the death
of the other end. Values are serialised in the threads of leases, never on the worker's loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable
from threading import Lock
from typing import Any

import psutil
from distributed import Status, WorkerPlugin, get_worker
from distributed.comm import CommClosedError
from distributed.worker import thread_state

from jupyter_wf.encodings import Encoded
from jupyter_wf.engine.dask.fair import FairShare, new_nonce
from jupyter_wf.engine.dask.large import LARGE, Sender
from jupyter_wf.engine.dask.memory import LateStore, Memory, find_input
from jupyter_wf.engine.dask.notice import heed
from jupyter_wf.engine.dask.offering import offer_of_worker
from jupyter_wf.engine.dask.wire import (
    answer_out,
    attempt_in,
    code_id,
    encoded_out,
    pack,
    unpack,
)
from jupyter_wf.engine.hands import Hands
from jupyter_wf.engine.modules import Modules
from jupyter_wf.engine.output import redirection
from jupyter_wf.engine.parking import Start, start_thread
from jupyter_wf.engine.signals import Durable, Source, Stimulus, Unstored
from jupyter_wf.engine.worker import Bench
from jupyter_wf.engine.writer import Writer
from jupyter_wf.graph import Code

NAME = "jupyter-wf"
EVERY = 0.5
#: Seconds after which the memory is looked at, and the part of its limit from which it is told.
OFTEN = 0.1
FILLING = 0.7
IDLE = 0.05
#: Where workers that can give leases are announced.
CAME = "wf-came"
#: Seconds for which a lease waits for its owner to come, or to be heard again.
GRACE = 15.0
#: Seconds for which a worker that is to go lets what runs come to its end.
STAY = 2.0
#: Seconds after which Python lets another thread run; the default lets the loop wait for 5 ms.
SWITCH = 5e-4
#: Sessions whose engine lives in this very process: the user reloads its modules himself.
HERE: set[str] = set()
#: All sessions and workers of a process share its modules.
MODULES = Modules()


def hold(session: str, store: str | None, share: float, idle: float | None) -> None:
    """Be a lease: the function that an engine submits to Dask."""
    worker = get_worker()
    worker.plugins[NAME].hold(session, store, share, idle, worker.get_current_task())


def _starter() -> Start:
    """Return what starts threads that are, to Dask, in the slot of the thread that calls this."""
    mine = vars(thread_state).copy()

    def start(run: Callable[[], None]) -> None:
        def as_here() -> None:
            vars(thread_state).update(mine)
            run()

        start_thread(as_here)

    return start


class Session:
    """One engine, as one worker sees it."""

    def __init__(self, worker: Any, name: str, store: LateStore | None) -> None:
        self.name = name
        self._offer = offer_of_worker(worker)
        self.hands: dict[str, Hands] = {}
        self.heard = time.monotonic()
        self.gone = False
        self.writer = None if store is None else Writer(store, self._wrote)
        memory = Memory(worker.data, name)
        self.bench = Bench(
            worker.address,
            memory,
            find_input(worker, name, store),
            self.writer,
            self._told,
            modules=None if name in HERE else MODULES,
            alone=worker.state.nthreads == 1,
        )
        self._loop = worker.loop.asyncio_loop
        self._comm: Any = None
        self._codes: dict[int, Any] = {}
        self._sent: dict[tuple[str, str, int, str], int] = {}
        self._telling = Lock()
        self._items: list[tuple[Any, ...]] = []
        self._lock = Lock()
        self._some = asyncio.Event()

    @property
    def connected(self) -> bool:
        """Whether the engine has a stream to here."""
        return self._comm is not None

    def tell(self, *items: tuple[Any, ...]) -> None:
        """Have items sent to the engine, in order; any thread may call."""
        with self._lock:
            first = not self._items
            self._items.extend(items)
        if first:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._some.set)

    def answer(self, answers: list[Any]) -> None:
        """Send what attempts came to, and before it the codes of what they added."""
        items: list[tuple[Any, ...]] = []

        def number_of(code: Code) -> int:
            known = code_id(code)
            number = self._sent.get(known)
            if number is None:
                number = self._sent[known] = len(self._sent)
                items.append(("code", number, code))
            return number

        with self._telling:
            told = [answer_out(answer, small, number_of) for answer, small in answers]
            self.tell(*items, ("answers", told))

    def _told(self, serial: int, stream: str, what: object) -> None:
        self.tell(("told", serial, stream, what))

    def _wrote(self, news: list[Stimulus]) -> None:
        durable = [one.serial for one in news if isinstance(one, Durable)]
        failed = [(one.serial, one.why) for one in news if isinstance(one, Unstored)]
        self.tell(("durable", durable), *[("unstored", *pair) for pair in failed])

    async def serve(self, comm: Any) -> None:
        """Speak with the engine until the stream closes, which ends all leases of this session."""
        self._comm = comm
        self.tell(("offer", *self._offer), *[("joined", nonce) for nonce in self.hands])
        sender = asyncio.create_task(self._send(comm))
        try:
            while True:
                for item in unpack(await comm.read()):
                    self.heard = time.monotonic()
                    self._take(*item)
        except (CommClosedError, OSError):
            self.gone = True
        finally:
            self._comm = None
            sender.cancel()
            for hands in [*self.hands.values()]:
                hands.empty()
                hands.end()

    async def _send(self, comm: Any) -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            with self._lock:
                items, self._items = self._items, []
            if items:
                with contextlib.suppress(CommClosedError):
                    await comm.write(pack(items))

    def _take(self, op: str, *rest: Any) -> None:
        match op:
            case "code":
                self._codes[rest[0]] = rest[1]
            case "values":
                self.bench.give([Encoded(*parts) for parts in rest[0]])
            case "hand":
                hands = self.hands.get(rest[0])
                if hands is not None:
                    hands.take(tuple([attempt_in(parts, self._codes) for parts in rest[1]]))
            case "stop":
                if rest[0] in self.hands:
                    self.hands[rest[0]].stop(rest[1])
            case "provide":
                if rest[0] in self.hands:
                    source = None if rest[3] is None else Source(*rest[3])
                    self.hands[rest[0]].provide(rest[1], rest[2], source, rest[4])
            case "recall":
                serials = self.hands[rest[0]].empty() if rest[0] in self.hands else ()
                self.tell(("unrun", rest[0], serials))
            case "drop":
                for content in rest[0]:
                    self.bench.memory.pop(content, None)
            case "end":
                for hands in [*self.hands.values()]:  # a lease may leave in its own thread
                    hands.end()

    def hand_back(self) -> None:
        """Say that this worker leaves, and give back what is not begun."""
        self.tell(("leaving",))
        for nonce, hands in [*self.hands.items()]:
            self.tell(("unrun", nonce, hands.empty()))

    async def finish(self, seconds: float | None = None) -> None:
        """Let what runs come to its end, for as long as that, and write what was computed."""
        end = None if seconds is None else time.monotonic() + seconds
        while self.hands and (end is None or time.monotonic() < end):  # noqa: ASYNC110 - threads
            await asyncio.sleep(IDLE)
        if self.writer is not None:
            await asyncio.to_thread(self.writer.close)

    def release(self) -> None:
        """Drop the values of an engine that is gone, and the processes of its environments."""
        self.bench.prefetch.close()
        self.bench.memory.clear()
        self.bench.processes.close()


class LeasePlugin(WorkerPlugin):
    """Gives a worker leases. One serves all sessions; registering it again changes nothing."""

    idempotent = True
    name = NAME

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
        worker.handlers.update(
            wf_open=self.open, wf_fetch=self.fetch, wf_tally=self.tally, wf_flush=self.flush
        )
        self._sender = Sender(worker, self._value)
        await worker.set_resources(wf=worker.state.nthreads)
        worker.log_event(CAME, {"worker": worker.address})
        self._leaving = False
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
        for name in ("wf_open", "wf_fetch", "wf_tally", "wf_flush"):
            worker.handlers.pop(name, None)
        sys.setswitchinterval(self._switch)
        self._undo()

    def _leave(self) -> None:
        """Take no more work: the worker is about to go."""
        if not self._leaving:
            self._leaving = True
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

    def hold(
        self, name: str, store: str | None, share: float, idle: float | None, key: str
    ) -> None:
        """Sit in a slot and run what comes, until told to end, or others should be let in.

        Parameters
        ----------
        name : str
            The session.
        store : str or None
            URL of the store to commit to.
        share : float
            What the session gets of the slots, against the 1 of others.
        idle : float or None
            Seconds without work after which to give the slot back; None keeps it.
        key : str
            The Dask key of this lease.
        """
        session = self.session(name, store)
        nonce = new_nonce(key)
        hands = Hands(session.bench, nonce, session.answer, _starter())
        session.hands[nonce] = hands
        self.share.enter(name)
        began = last = active = time.monotonic()
        newest = hands.since

        def over() -> bool:
            nonlocal last, active, newest
            now = time.monotonic()
            self.share.charge(name, (now - last) / share)
            last = now
            if session.gone or self._leaving or now - session.heard > GRACE:
                return True
            if hands.since != newest:
                newest, active = hands.since, now
            elif idle is not None and now - active > idle:
                return True
            state = self.worker.state
            waiting = [task.key for task in (*state.constrained, *state.ready)]
            return self.share.must_yield(name, now - began, waiting)

        try:
            session.heard = max(session.heard, began)
            if session.connected:
                session.tell(("joined", nonce))
            else:
                self.worker.log_event(f"wf-{name}", {"worker": self.worker.address})
            if not over():  # Dask lets in who asked first, not who is owed most
                hands.work(over, IDLE)
        finally:
            self.share.leave(name)
            session.hands.pop(nonce, None)
            session.tell(("ended", nonce))
            if not session.connected and not session.hands:
                self._forget(session)

    # -- handlers ------------------------------------------------------------------------------

    async def open(self, comm: Any, session: str, store: str | None) -> Status:
        """Speak with an engine until it goes; what it computed is still written."""
        found = self.session(session, store)
        await found.serve(comm)
        await found.finish()
        await asyncio.to_thread(found.release)
        self._forget(found)
        return Status.dont_reply

    def _forget(self, session: Session) -> None:
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
                self._leaving = False
            apart = sum(one.bench.processes.resident() for one in [*self.sessions.values()])
            sample = (process.cpu_percent() / 100, memory + apart, limit)
            for session in [*self.sessions.values()]:
                if session.connected:
                    session.tell(("sample", *sample))
