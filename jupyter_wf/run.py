"""One execution of a plan, as its caller watches it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from jupyter_wf.events import (
    FINAL,
    Event,
    RunChanged,
    RunState,
    TaskCached,
    TaskChanged,
    TaskFailed,
)
from jupyter_wf.status import Status, TaskStatus

Wait = Callable[[Callable[[], bool], float | None], bool]


@dataclass(frozen=True, slots=True)
class TaskResult:
    """How one task of a run stands.

    Parameters
    ----------
    state : str
        One of `events.State`, or ``"blocked"``.
    seconds : float
        Wall time of its body in this run.
    why : str
        Why it ran, was cached or is blocked.
    outputs : dict
        Name of the output → content id.
    """

    state: str
    seconds: float = 0.0
    why: str = ""
    outputs: Mapping[str, str] = field(default_factory=dict)


class Run:
    """One execution of a plan: `run.wait()`, `run.state`, `run.tasks`, `run.seconds`.

    Parameters
    ----------
    name : str
        Its id.
    keys : mapping
        Name of the task → its key.
    blocked : mapping
        Name of the task → why it can't run.
    whys : mapping
        Name of the task → why the plan had it run or not.
    status : Status
    wait, cancel : callable
        Wait until something is true; stop tasks, by their keys.
    """

    def __init__(
        self,
        name: str,
        *,
        keys: Mapping[str, str],
        blocked: Mapping[str, str],
        whys: Mapping[str, str],
        status: Status,
        wait: Wait,
        cancel: Callable[[frozenset[str]], None],
    ) -> None:
        self.id = name
        self._keys, self._blocked, self._whys = dict(keys), dict(blocked), dict(whys)
        self._status, self._wait, self._cancel = status, wait, cancel
        self._pending: set[str] = set()
        self._given_up = False
        self._started = self._ended = time.time()

    def begin(self) -> None:
        """Look at what is still to be done, just before it is submitted."""
        self._pending = {k for k in self._keys.values() if self._task(k).state not in FINAL}
        self._started = time.time()
        self._ended = 0.0 if self._pending else self._started

    def observe(self, events: tuple[Event, ...]) -> bool:
        """Take in events; True if the run ended by them."""
        if not self._pending:
            return False
        for event in events:
            match event:
                case TaskChanged() if event.state in FINAL:
                    self._pending.discard(event.task)
                case TaskCached() | TaskFailed():
                    self._pending.discard(event.task)
        if self._pending:
            return False
        self._ended = time.time()
        return True

    def ended(self) -> RunChanged:
        """Return the event that says how it ended."""
        return RunChanged(self._ended, self.id, self.state)

    def _task(self, key: str) -> TaskStatus:
        return self._status.tasks.get(key) or TaskStatus()

    @property
    def state(self) -> RunState:
        """``running``, or at the end ``stored``, ``error`` or ``cancelled``."""
        if self._pending:
            return "running"
        states = {self._task(k).state for k in self._keys.values()}
        if "error" in states or self._blocked:
            return "error"
        return "cancelled" if "cancelled" in states else "stored"

    @property
    def seconds(self) -> float:
        """Wall time since the start, or of the whole run once it ended."""
        return (self._ended or time.time()) - self._started

    @property
    def tasks(self) -> dict[str, TaskResult]:
        """How each task stands, by name."""
        found = {name: TaskResult("blocked", why=why) for name, why in self._blocked.items()}
        for name, key in self._keys.items():
            task = self._task(key)
            outputs = {output: stored.id for output, stored in task.outputs.items()}
            why = task.why or self._whys.get(name, "")
            found[name] = TaskResult(task.state, task.seconds, why, outputs)
        return found

    def wait(self, timeout: float | None = None) -> Run:
        """Wait until everything is stored, failed or cancelled.

        Parameters
        ----------
        timeout : float or None
            Seconds; `TimeoutError` is raised after them. The run goes on.
        """
        if not self._wait(lambda: not self._pending, timeout):
            raise TimeoutError(f"Run {self.id} has not ended after {timeout} s; it goes on.")
        return self

    @property
    def wanted(self) -> frozenset[str]:
        """Keys of the tasks that it still waits for; none once it was cancelled."""
        return frozenset() if self._given_up else frozenset(self._pending)

    def cancel(self) -> None:
        """Stop what this run still waits for and no other run does; return at once."""
        tasks, self._given_up = self.wanted, True
        self._cancel(tasks)

    def __repr__(self) -> str:
        states = [result.state for result in self.tasks.values()]
        counts = ", ".join(f"{states.count(s)} {s}" for s in dict.fromkeys(states))
        return f"<Run {self.id}: {self.state} ({counts or 'nothing to do'})>"
