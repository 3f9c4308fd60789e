"""Bodies that wait for their children, and whose turn it is in a lease that has several threads.

A lease is one slot: however many of its bodies wait, one thread runs. A body that begins to wait
passes the turn on, to a stand-in that works through what the lease is handed meanwhile; when what
it waits for is there, it takes the turn back as soon as the stand-in is between two attempts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Condition, Event, Lock, Thread

from jupyter_wf.engine.signals import Source
from jupyter_wf.errors import WorkflowError
from jupyter_wf.events import Failure

#: Bodies that may wait in one process; each keeps a thread and all that it has computed.
MOST = 200

Start = Callable[[Callable[[], None]], None]


def start_thread(run: Callable[[], None]) -> None:
    """Run something in a thread of its own."""
    Thread(target=run, name="jupyter-wf-stand-in", daemon=True).start()


@dataclass(slots=True)
class Promise:
    """What a body waits for: where the value is, or why it will not come."""

    source: Source | None = None
    failure: Failure | None = None
    kept: Event = field(default_factory=Event)
    stopped: bool = False

    def keep(self, source: Source | None, failure: Failure | None = None) -> None:
        """Let the body go on."""
        if not self.kept.is_set():
            self.source, self.failure = source, failure
            self.kept.set()

    def stop(self) -> None:
        """Let the body take its turn, and end."""
        self.stopped = True
        self.kept.set()


class Turn:
    """Whose turn it is among the threads of one lease.

    Parameters
    ----------
    stand_in : callable
        What a new thread does that is given the turn.
    start : callable
        Starts a thread with it.
    nudge : callable
        Wakes the thread whose turn it is if it has nothing to do.
    """

    def __init__(self, stand_in: Callable[[], None], start: Start, nudge: Callable[[], None]):
        self._stand_in = stand_in
        self._start = start
        self._nudge = nudge
        self._changed = Condition()
        self._asking: deque[object] = deque()
        self._first_waits = False
        self._holder: object = None

    def wanted(self, *, first: bool) -> bool:
        """Whether the thread whose turn it is should pass it on, between two attempts."""
        return bool(self._asking) or (self._first_waits and not first)

    def pass_on(self) -> None:
        """Give the turn to a body that can go on, or to the lease's own thread, or to a new one."""
        with self._changed:
            if self._asking:
                self._holder = self._asking.popleft()
            elif self._first_waits:
                self._holder = self
            else:
                self._holder = None
                self._start(self._stand_in)
                return
            self._changed.notify_all()

    def take(self) -> None:
        """Wait for the turn, as a body that can go on."""
        me = object()
        with self._changed:
            self._asking.append(me)
            self._nudge()
            self._changed.wait_for(lambda: self._holder is me)

    def rest(self) -> None:
        """Pass the turn on to a body that asked for it, and wait for it, as the lease's thread."""
        with self._changed:
            self._first_waits = True
            self._holder = self._asking.popleft()
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._holder is self)
            self._first_waits = False
            self._holder = None


class Places:
    """How many bodies of a process wait."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._taken = 0
        self._lock = Lock()

    def enter(self, name: str) -> None:
        """Take a place for a task's body; raise `WorkflowError` if there is none left."""
        with self._lock:
            if self._taken >= self._most:
                raise WorkflowError(
                    f"{name} can't wait for the tasks that it has invoked: {self._taken} tasks of "
                    f"this worker wait already, and each keeps its memory. Don't wait: pass the "
                    f"handle to another task, and hand on with "
                    f"`return other.invoke(..., delegate=True)`."
                )
            self._taken += 1

    def leave(self) -> None:
        """Give a place back."""
        with self._lock:
            self._taken -= 1
