"""Around one task, in a lease: find its inputs, run, measure, encode, hand over to the writer.

Knows no transport: threads of this process and slots of Dask workers use it alike.
"""

from __future__ import annotations

import ctypes
import os
import platform
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from jupyter_wf.context import TaskContext, current
from jupyter_wf.encodings import Encoded, decode, encode
from jupyter_wf.engine.body import Body, failure_of
from jupyter_wf.engine.modules import Modules, modules_of
from jupyter_wf.engine.output import captured
from jupyter_wf.engine.signals import (
    Attempt,
    Failed,
    Finished,
    Missing,
    Source,
    Stimulus,
)
from jupyter_wf.engine.writer import Writer
from jupyter_wf.errors import StoreError
from jupyter_wf.events import Failure
from jupyter_wf.graph import Code
from jupyter_wf.records import Record
from jupyter_wf.requirements import kinds_of

#: Bytes up to which a result travels with the answer.
SMALL = 64_000
BODIES = 256
#: Seconds for which answers may wait for each other.
GATHER = 0.002

Tell = Callable[[int, str, object], None]


class Stopped(BaseException):
    """Raised in a task's thread to stop it; not an `Exception`, so that few bodies catch it."""


class Breaker:
    """Stops the body that a thread runs, and never strikes the code around it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread = 0
        self._serial = 0
        self._struck = False

    def guarded(self, serial: int, body: Callable[[], Any]) -> Any:
        """Run `body`; `Stopped` is raised in it if `stop` is called meanwhile."""
        with self._lock:
            self._thread, self._serial = threading.get_ident(), serial
        try:
            try:
                return body()
            finally:
                self._close()
        except Stopped:
            self._close()
            raise

    def stop(self, serial: int) -> bool:
        """Raise `Stopped` in the body, at its next bytecode; False if it does not run here."""
        with self._lock:
            if not serial or self._serial != serial:
                return False
            self._struck = True
            thread = ctypes.c_ulong(self._thread)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(Stopped))
            return True

    def _close(self) -> None:
        with self._lock:
            self._serial = 0
            struck, self._struck = self._struck, False
        if struck:
            # What was asked for but not raised yet is raised here, where it does no harm. (To take
            # it back by asking for None leaves CPython 3.11 looking for it at every call.)
            with suppress(Stopped):
                for _ in range(1000):
                    pass


class InputLostError(Exception):
    """An input is neither in memory, nor with a peer, nor in the store."""

    def __init__(self, content: str) -> None:
        super().__init__(content)
        self.content = content


@dataclass(slots=True)
class Bench:
    """What the leases of one worker process share.

    Parameters
    ----------
    name : str
        The worker's address.
    memory : mutable mapping
        Values of this worker by content id.
    fetch : callable
        Finds an input that is not in memory: takes a `Source`, raises `InputLostError`.
    writer : Writer or None
        What commits results; None if there is no store that this process can open.
    tell : callable
        Takes (serial, stream, text) for output, and (serial, "progress", (done, total, note)).
    copies : bool
        Whether inputs that were fetched stay in memory, to be dropped by the engine's word.
    modules : Modules or None
        What keeps local modules up to date; None in a process whose user reloads them himself.
    """

    name: str
    memory: MutableMapping[str, Encoded]
    fetch: Callable[[Source], Encoded]
    writer: Writer | None
    tell: Tell
    copies: bool = True
    modules: Modules | None = None
    executions: Counter[str] = None  # type: ignore[assignment]
    bodies: OrderedDict[Code, Body] = None  # type: ignore[assignment]
    host: str = ""
    version: int = 0

    def __post_init__(self) -> None:
        self.executions = Counter()
        self.bodies = OrderedDict()
        self.host = platform.node()

    def perform(self, nonce: str, attempt: Attempt, breaker: Breaker) -> tuple[Stimulus, Kept]:
        """Run one attempt; return the answer, and the small values that travel with it."""
        job, loaded = attempt.job, []
        try:
            # Before the inputs, which may be instances of a local module's classes.
            body = self._body(job.code)
            inputs = {}
            for (slot, _), source in zip(job.inputs, attempt.sources, strict=True):
                encoded = self.memory.get(source.content)
                if encoded is None:
                    encoded = self.fetch(source)
                    if self.copies:
                        self.memory[source.content] = encoded
                        loaded.append(source.content)
                _freeze(encoded)
                inputs[slot] = decode(encoded)
        except InputLostError as lost:
            return Missing(nonce, attempt.serial, (lost.content,)), ()
        except Exception as error:  # noqa: BLE001 - whatever a store or a decoder raises
            return _raised(nonce, attempt, error), ()
        names = tuple(output for output, _ in job.outputs)
        try:
            values, seconds, cpu, grown = self._measured(attempt, body, inputs, names, breaker)
            del inputs
            found = [encode(v, name=n) for n, v in zip(names, values, strict=True)]
        except Stopped:
            failure = Failure("TaskCancelledError", "stopped", "")
            return Failed(nonce, attempt.serial, failure), ()
        except StoreError as error:
            text = f"{error} Outputs must be values that can be stored."
            kinds = kinds_of(type(error))
            return Failed(nonce, attempt.serial, Failure("StoreError", text, ""), kinds), ()
        except BaseException as error:  # noqa: BLE001 - SystemExit and the like end a task only
            return _raised(nonce, attempt, error), ()
        stored = tuple([encoded.stored for encoded in found])
        for encoded in found:
            _freeze(encoded)
            self.memory[encoded.id] = encoded
        if self.writer is not None:
            self.writer.put(
                attempt.serial,
                self._record(attempt, stored, seconds),
                {encoded.id: encoded for encoded in found},
            )
        small = tuple([encoded for encoded in found if encoded.nbytes <= SMALL])
        answer = Finished(nonce, attempt.serial, stored, seconds, cpu, grown, tuple(loaded))
        return answer, small

    def _measured(
        self,
        attempt: Attempt,
        body: Body,
        inputs: dict[str, Any],
        names: tuple[str, ...],
        breaker: Breaker,
    ) -> tuple[list[Any], float, float, int]:
        job, serial, tell = attempt.job, attempt.serial, self.tell

        def report(done: float, total: float, note: str) -> None:
            tell(serial, "progress", (done, total, note))

        context = TaskContext(job.name, attempt.number, job.requirements.partition, report)
        self.executions[job.name] += 1
        token = current.set(context)
        try:
            with captured(lambda stream, text: tell(serial, stream, text)):
                before, cpu, start = _resident(), time.thread_time(), time.perf_counter()
                values = breaker.guarded(serial, lambda: body.run(job.call, inputs, names))
                seconds = time.perf_counter() - start
                return values, seconds, time.thread_time() - cpu, _resident() - before
        finally:
            current.reset(token)

    def _body(self, code: Code) -> Body:
        body = self.bodies.get(code)
        # Equal codes compute the same, but a traceback must point to where this one stands now.
        here = (code.source, code.filename, code.first_line)
        if body is None or (body.code.source, body.code.filename, body.code.first_line) != here:
            body = self._keep(code)
        if self.modules is not None and body.modules:
            version = self.modules.follow(body.modules)
            if version != self.version:
                self.version = version
                for other in [one for one, kept in self.bodies.items() if kept.modules]:
                    del self.bodies[other]
                body = self._keep(code)
        return body

    def _keep(self, code: Code) -> Body:
        body = self.bodies[code] = Body(code, modules_of(code))
        if len(self.bodies) > BODIES:
            self.bodies.popitem(last=False)
        return body

    def _record(self, attempt: Attempt, stored: tuple[Any, ...], seconds: float) -> Record:
        job = attempt.job
        return Record(
            job.key,
            attempt.recipe,
            job.name,
            job.code.parts,
            tuple(
                [
                    (slot, data, source.content)
                    for (slot, data), source in zip(job.inputs, attempt.sources, strict=True)
                ]
            ),
            tuple([(output, s) for (output, _), s in zip(job.outputs, stored, strict=True)]),
            attempt.run,
            self.host,
            self.name,
            seconds,
            time.time(),
        )


Kept = tuple[Encoded, ...]


class Hands:
    """The attempts that one lease was handed, and the loop that works through them."""

    def __init__(self, bench: Bench, nonce: str, answer: Callable[[list[Any]], None]) -> None:
        self.nonce = nonce
        self._bench = bench
        self._answer = answer
        self._queue: SimpleQueue[Attempt | None] = SimpleQueue()
        self._breaker = Breaker()
        self._dropped: set[int] = set()
        self.busy = 0
        self.since = 0.0

    def take(self, attempts: tuple[Attempt, ...]) -> None:
        """Queue attempts."""
        for attempt in attempts:
            self._queue.put(attempt)

    def empty(self) -> tuple[int, ...]:
        """Take back what is not begun; return its serials."""
        found: list[int] = []
        with suppress(Empty):
            while True:
                attempt = self._queue.get_nowait()
                if attempt is None:
                    self._queue.put(None)
                    break
                found.append(attempt.serial)
        return tuple(found)

    def stop(self, serial: int) -> None:
        """Stop an attempt, or don't begin it."""
        if not serial:
            return
        self._dropped.add(serial)
        self._breaker.stop(serial)

    def end(self) -> None:
        """Let the loop end once its queue is empty."""
        self._queue.put(None)

    def work(self, until: Callable[[], bool] = lambda: False, every: float | None = None) -> None:
        """Work through attempts until `end`, or until `until()`, asked between them.

        Parameters
        ----------
        until : callable
        every : float or None
            Seconds between two askings while there is nothing to do.
        """
        pending: list[Any] = []
        first = 0.0
        while True:
            try:
                attempt = self._queue.get_nowait() if pending else self._queue.get(timeout=every)
            except Empty:
                if pending:
                    self._answer(pending)
                    pending = []
                elif until():
                    return
                continue
            if attempt is None:
                break
            self.since, self.busy = time.monotonic(), attempt.serial
            if attempt.serial in self._dropped:
                self._dropped.discard(attempt.serial)
                failure = Failure("TaskCancelledError", "stopped before it began", "")
                pending.append((Failed(self.nonce, attempt.serial, failure), ()))
            else:
                if pending and time.monotonic() - first > GATHER:
                    self._answer(pending)
                    pending = []
                pending.append(self._bench.perform(self.nonce, attempt, self._breaker))
                self._dropped.discard(attempt.serial)
            self.busy = 0
            if len(pending) == 1:
                first = time.monotonic()
            del attempt
            if until():
                break
        if pending:
            self._answer(pending)


def _raised(nonce: str, attempt: Attempt, error: BaseException) -> Failed:
    failure = failure_of(error, attempt.job.code)
    return Failed(nonce, attempt.serial, failure, kinds_of(type(error)))


def _freeze(encoded: Encoded) -> None:
    """Make arrays read-only: data are immutable, so writing to them raises, and never corrupts."""
    for leaf in encoded.leaves:
        if leaf.flags.writeable:
            leaf.flags.writeable = False


_STATM = Path("/proc/self/statm")
_FILE = os.open(_STATM, os.O_RDONLY | os.O_CLOEXEC) if _STATM.exists() else -1
_PAGE = os.sysconf("SC_PAGE_SIZE") if _FILE >= 0 else 0


def _resident() -> int:
    """Return the bytes of memory this process has, or 0 where that can't be had cheaply."""
    return int(os.pread(_FILE, 128, 0).split()[1]) * _PAGE if _FILE >= 0 else 0
