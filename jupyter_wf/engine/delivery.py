"""Events on their way to listeners, by a thread of its own, which also waits for the time to tick.

So a slow listener, or one that calls the engine, delays nobody else. Whoever waits for a value is
told at once; what comes in a rush is gathered for a moment, since every wake-up takes the
interpreter's lock from somebody who has work to do.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from threading import Condition, RLock, Thread, current_thread

from jupyter_wf.events import Event, Listener

logger = logging.getLogger("jupyter_wf.engine")
#: Events that are delivered as they come within `GATHER` seconds; more of them wait until its end.
RUSH = 100
GATHER = 5e-3


class Delivery:
    """Delivers events in their order, and calls when it is time.

    Parameters
    ----------
    lock : RLock
        The engine's.
    done : Condition
        Of that lock; notified when all was delivered.
    due : callable
        Returns seconds until `tick` is to be called, None for never; called with the lock.
    tick : callable
    """

    def __init__(
        self,
        lock: RLock,
        done: Condition,
        due: Callable[[], float | None],
        tick: Callable[[], None],
    ) -> None:
        self._some = Condition(lock)
        self._done = done
        self._due = due
        self._tick = tick
        self._events: list[Event] = []
        self._listeners: list[Listener] = []
        self._asleep = self._lingering = self._urgent = self._delivering = self._closed = False
        self._thread: Thread | None = None

    @property
    def up_to_date(self) -> bool:
        """Whether listeners know of everything, as far as a listener that asks can tell."""
        listening = current_thread() is self._thread
        return listening or not (self._events or self._delivering)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every batch of events; return the function that undoes this."""
        with self._some:
            self._listeners = [*self._listeners, listener]

        def undo() -> None:
            self._unsubscribe(listener)

        return undo

    def add(self, events: Iterable[Event], *, urgent: bool = True) -> None:
        """Have events delivered: at once, or if nobody can be waiting for them, within `GATHER`.

        Called with the lock.
        """
        self._events.extend(events)
        if self._thread is None and not self._closed:
            self._thread = Thread(target=self._deliver, name="jupyter-wf-events", daemon=True)
            self._thread.start()
        self._urgent = self._urgent or urgent
        if self._asleep and (urgent or not self._lingering):
            self._asleep = False
            self._some.notify()

    def close(self) -> None:
        """Deliver what is left, and forget the listeners."""
        with self._some:
            self._closed = True
            self._some.notify_all()
        if self._thread is not None and self._thread is not current_thread():
            self._thread.join(5)
        with self._some:
            self._listeners = []

    def _unsubscribe(self, listener: Listener) -> None:
        with self._some:
            self._listeners = [found for found in self._listeners if found is not listener]

    def _deliver(self) -> None:
        since, count = time.monotonic(), 0
        while True:
            if count > RUSH:
                time.sleep(max(0.0, since + GATHER - time.monotonic()))
                since, count = time.monotonic(), 0
            with self._some:
                self._delivering = False
                self._done.notify_all()
                due = self._sleep()
                events, self._events = tuple(self._events), []
                self._delivering = bool(events)
                count = count + len(events) if time.monotonic() - since < GATHER else len(events)
                if count == len(events):
                    since = time.monotonic()
                listeners, closed = self._listeners, self._closed
            for listener in listeners if events else ():
                try:
                    listener(events)
                except Exception:
                    logger.exception("A listener failed, and is not called again.")
                    self._unsubscribe(listener)
            if closed and not events:
                return
            if due is not None and due <= 0 and not closed:
                self._tick()

    def _sleep(self) -> float | None:
        """Wait for events, or for the time to tick; return seconds until then."""
        self._asleep = self._lingering = True
        while True:
            due = self._due()
            if self._closed or (due is not None and due <= 0):
                break
            if self._events and (self._urgent or not self._lingering):
                break
            if self._lingering:
                # Right after a delivery, only what somebody waits for is worth a wake-up.
                told = self._some.wait(min(GATHER, due if due is not None else GATHER))
                self._lingering = False
                if told or self._events:
                    break
            else:
                self._some.wait(due)
        self._asleep = self._lingering = self._urgent = False
        return due
