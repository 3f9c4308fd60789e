"""The attempts that one lease was handed, and the loop that works through them."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Lock
from typing import Any

from jupyter_wf.engine.breaker import Breaker, Stopped
from jupyter_wf.engine.parking import Promise, Start, Turn, start_thread
from jupyter_wf.engine.signals import Attempt, Awaiting, Failed, Family, Source, Spawned
from jupyter_wf.engine.worker import Bench
from jupyter_wf.errors import TaskError
from jupyter_wf.events import Failure

#: Seconds for which answers may wait for each other.
GATHER = 0.002


class _Nudge:
    """Wakes a thread that waits for attempts."""


_NUDGE = _Nudge()


class Hands:
    """A lease, as its worker sees it.

    Parameters
    ----------
    bench : Bench
    nonce : str
    answer : callable
        Takes a list of (answer, small values that go with it); called from any thread.
    start : callable
        Starts a thread that stands in for a body that waits.
    """

    def __init__(
        self,
        bench: Bench,
        nonce: str,
        answer: Callable[[list[Any]], None],
        start: Start = start_thread,
    ) -> None:
        self.nonce = nonce
        #: When the newest attempt began.
        self.since = 0.0
        self._bench = bench
        self._answer = answer
        self._queue: SimpleQueue[Attempt | _Nudge | None] = SimpleQueue()
        self._breakers: dict[int, Breaker] = {}
        self._dropped: set[int] = set()
        self._pending: list[Any] = []
        self._first = 0.0
        self._turn = Turn(self._stand_in, start, lambda: self._queue.put(_NUDGE))
        self._promises: dict[tuple[int, str], Promise] = {}
        self._gate = Lock()
        self._parked = 0
        self._ended = False
        self._until: Callable[[], bool] = lambda: False
        self._every: float | None = None

    # -- what the engine says; from any thread -------------------------------------------------

    def take(self, attempts: tuple[Attempt, ...]) -> None:
        """Queue attempts; what they read comes while those before them run."""
        for attempt in attempts:
            self._bench.prefetch.expect(attempt.sources)
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
                if not isinstance(attempt, _Nudge):
                    self._bench.prefetch.forget(attempt.sources)
                    found.append(attempt.serial)
        return tuple(found)

    def stop(self, serial: int) -> None:
        """Stop an attempt, or don't begin it."""
        self._dropped.add(serial)
        with self._gate:
            promises = [p for (waiting, _), p in self._promises.items() if waiting == serial]
            breaker = self._breakers.get(serial)
            for promise in promises:
                promise.stop()
            # An exception in a thread that waits for its turn would take it out of the queue.
            if breaker is not None and not promises:
                breaker.stop()

    def provide(self, serial: int, data: str, source: Source | None, why: Failure | None) -> None:
        """Tell a body that waits what has become of a data."""
        promise = self._promises.get((serial, data))
        if promise is not None:
            promise.keep(source, why)

    def stop_all(self) -> None:
        """Stop all that runs or waits here."""
        for serial in [*self._breakers]:
            self.stop(serial)

    def end(self) -> None:
        """Let the loop end once its queue is empty; who waits in vain is stopped."""
        self._queue.put(None)

    # -- what a body asks; in its thread -------------------------------------------------------

    def spawn(self, serial: int, family: Family) -> None:
        """Add children to the graph now."""
        self._flush()
        self._answer([(Spawned(self.nonce, serial, family), ())])

    def wait(self, attempt: Attempt, name: str, data: str, timeout: float | None) -> Source:
        """Wait until a value is there, the data called `name`; other attempts run here meanwhile.

        Raises `TaskError` if it will not come, `TimeoutError`, and `WorkflowError` if too many
        bodies of this process wait.
        """
        serial = attempt.serial
        self._bench.places.enter(attempt.job.name)
        try:
            with self._gate:
                promise = self._promises[serial, data] = Promise()
            self._flush()
            self._answer([(Awaiting(self.nonce, serial, (data,)), ())])
            if not promise.kept.is_set():
                self._parked += 1
                self._turn.pass_on()
                promise.kept.wait(timeout)
                self._turn.take()
                self._parked -= 1
        finally:
            with self._gate:
                self._promises.pop((serial, data), None)
            self._bench.places.leave()
        if promise.stopped:
            raise Stopped
        if promise.failure is not None:
            failure = promise.failure
            raise TaskError(name, f"{failure.type}: {failure.message}", failure.traceback)
        if promise.source is None:
            raise TimeoutError(f"{name!r} is not there after {timeout} s; its task runs on.")
        return promise.source

    # -- the loop ------------------------------------------------------------------------------

    def work(self, until: Callable[[], bool] = lambda: False, every: float | None = None) -> None:
        """Work through attempts until `end`, or until `until()`, asked between them.

        Parameters
        ----------
        until : callable
        every : float or None
            Seconds between two askings while there is nothing to do.
        """
        self._until, self._every = until, every
        while not self._loop(first=True):
            self._turn.rest()

    def _stand_in(self) -> None:
        self._loop(first=False)
        self._turn.pass_on()

    def _loop(self, *, first: bool) -> bool:
        """Work; return True at the end, and False if the turn is to be passed on."""
        while True:
            if self._turn.wanted(first=first):
                return False
            if self._ended and not self._parked:
                self._flush()
                return True
            try:
                attempt = self._next()
            except Empty:
                if not self._pending:
                    self._ask()
                self._flush()
                continue
            if attempt is None:
                self._ended = True
                self.stop_all()
            elif not isinstance(attempt, _Nudge):
                self._run(attempt)
                del attempt
                self._ask()

    def _ask(self) -> None:
        """End if that is wanted; but not while bodies wait for what may have to run here."""
        if self._until() and not self._parked:
            self._ended = True

    def _next(self) -> Attempt | _Nudge | None:
        if self._pending:
            return self._queue.get_nowait()
        return self._queue.get(timeout=self._every)

    def _run(self, attempt: Attempt) -> None:
        serial = attempt.serial
        if serial in self._dropped:
            self._dropped.discard(serial)
            self._bench.prefetch.forget(attempt.sources)
            failure = Failure("TaskCancelledError", "stopped before it began", "")
            self._add((Failed(self.nonce, serial, failure), ()))
            return
        late = time.monotonic() - self._first > GATHER
        if self._pending and (late or not self._bench.is_quick(attempt.job.code, GATHER)):
            self._flush()
        self.since = time.monotonic()
        breaker = self._breakers[serial] = Breaker()
        try:
            answer = self._bench.perform(self, attempt, breaker)
        finally:
            del self._breakers[serial]
            self._dropped.discard(serial)
        self._add(answer)

    def _add(self, answer: Any) -> None:
        if not self._pending:
            self._first = time.monotonic()
        self._pending.append(answer)

    def _flush(self) -> None:
        if self._pending:
            pending, self._pending = self._pending, []
            self._answer(pending)
