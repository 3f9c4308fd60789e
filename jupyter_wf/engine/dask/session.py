"""One engine, as one worker sees it: the stream to it, its leases here, and what they share.

All that goes between an engine and a worker goes over one stream, in order, both ways; its closing
is the death of the other end. Values are serialised in the threads of leases, never on the worker's
loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from threading import Lock
from typing import Any

from distributed.comm import CommClosedError

from jupyter_wf.encodings import Encoded
from jupyter_wf.engine.dask.large import hang_up
from jupyter_wf.engine.dask.memory import LateStore, Memory, find_input
from jupyter_wf.engine.dask.offering import offer_of_worker
from jupyter_wf.engine.dask.wire import answer_out, attempt_in, code_id, pack, unpack
from jupyter_wf.engine.hands import Hands
from jupyter_wf.engine.modules import Modules
from jupyter_wf.engine.signals import Durable, Source, Stimulus, Unstored
from jupyter_wf.engine.worker import Bench
from jupyter_wf.engine.writer import Writer
from jupyter_wf.graph import Code

#: Seconds between two looks whether all leases have ended.
LOOK = 0.05
#: Sessions whose engine lives in this very process: the user reloads its modules himself.
HERE: set[str] = set()
#: All sessions and workers of a process share its modules.
MODULES = Modules()


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
        self._peers = worker.rpc
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
        # To find out whether a message were better packed by a thread takes longer than to pack it.
        comm.allow_offload = False
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
            case "hand" | "stop" | "provide" | "recall":
                self._pass_on(op, *rest)
            case "drop":
                for content in rest[0]:
                    self.bench.memory.pop(content, None)
            case "owner":
                if self.writer is not None:
                    self.writer.owner = rest[0]
            case "lost":
                self._peers.remove(rest[0])
                hang_up(rest[0])
            case "end":
                for hands in [*self.hands.values()]:  # a lease may leave in its own thread
                    hands.end()

    def _pass_on(self, op: str, nonce: str, *rest: Any) -> None:
        """Take what is for one lease, which may have left by now."""
        hands = self.hands.get(nonce)
        if op == "recall":
            self.tell(("unrun", nonce, () if hands is None else hands.empty()))
        elif hands is None:
            return
        elif op == "hand":
            hands.take(tuple([attempt_in(parts, self._codes) for parts in rest[0]]))
        elif op == "stop":
            hands.stop(rest[0])
        else:
            serial, data, source, failure = rest
            hands.provide(serial, data, None if source is None else Source(*source), failure)

    def hand_back(self) -> None:
        """Say that this worker leaves, and give back what is not begun."""
        self.tell(("leaving",))
        for nonce, hands in [*self.hands.items()]:
            self.tell(("unrun", nonce, hands.empty()))

    async def finish(self, seconds: float | None = None) -> None:
        """Let what runs come to its end, for as long as that, and write what was computed."""
        end = None if seconds is None else time.monotonic() + seconds
        while self.hands and (end is None or time.monotonic() < end):  # noqa: ASYNC110 - threads
            await asyncio.sleep(LOOK)
        if self.writer is not None:
            await asyncio.to_thread(self.writer.close)

    def release(self) -> None:
        """Drop the values of an engine that is gone, and the processes of its environments."""
        self.bench.prefetch.close()
        self.bench.memory.clear()
        self.bench.processes.close()
