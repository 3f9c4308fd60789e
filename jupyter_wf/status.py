"""What is going on, as the fold of all events so far: the state every view starts from."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from immutables import Map

from jupyter_wf.events import (
    FINAL,
    Event,
    Failure,
    TaskCached,
    TaskChanged,
    TaskComputed,
    TaskFailed,
    TaskLog,
    TaskProgress,
    TasksSpawned,
    WorkerChanged,
    WorkerSample,
)
from jupyter_wf.naming import label_of
from jupyter_wf.records import Stored

LOG_LINES = 2000
NOTHING: Mapping[str, Stored] = Map()
NONE: Map[str, int] = Map()
SAMPLES = 600
#: How many tasks that were added by running ones, and have ended, are remembered.
KEEP = 10_000


@dataclass(slots=True)
class TaskStatus:
    """One task as it stands; times are seconds since the epoch, 0.0 if not yet.

    Parameters
    ----------
    state : str
        One of `events.State`.
    computed : bool
        Whether its values can be had, though they may not be durable yet.
    outputs : dict
        Name of the output → `Stored`.
    progress : (float, float, str) or None
        (done, total, note).
    name, root : str
        Of a task that a running task added: its name, and the key of the task at the top to whose
        computation it belongs.
    asked : bool
        Whether it was asked for at the top, where a handle may wait for it.
    added, ended : int
        How many tasks were added in its computation, and how many of them have ended.
    kinds : Map
        Of those added, the function's name → how many there are.
    """

    state: str = "waiting"
    why: str = ""
    worker: str = ""
    attempt: int = 0
    started: float = 0.0
    finished: float = 0.0
    seconds: float = 0.0
    cpu: float = 0.0
    grown: int = 0
    computed: bool = False
    outputs: Mapping[str, Stored] = NOTHING
    failure: Failure | None = None
    progress: tuple[float, float, str] | None = None
    name: str = ""
    root: str = ""
    asked: bool = False
    added: int = 0
    ended: int = 0
    kinds: Map[str, int] = NONE
    _log: deque[tuple[str, str]] | None = None

    @property
    def log(self) -> Sequence[tuple[str, str]]:
        """What it wrote, as (stream, text): the newest 2,000 pieces."""
        return () if self._log is None else self._log

    def wrote(self, stream: str, text: str) -> None:
        """Add to the log, which most of ten thousand tasks don't have."""
        if self._log is None:
            self._log = deque(maxlen=LOG_LINES)
        self._log.append((stream, text))

    @property
    def settled(self) -> bool:
        """Whether waiting is over: its values can be had, or never will."""
        return self.computed or self.state in FINAL


@dataclass(slots=True)
class WorkerStatus:
    """One worker as it stands; `history` holds its newest (time, cores, bytes of memory)."""

    name: str = ""
    state: str = "joined"
    threads: int = 1
    cpu: float = 0.0
    memory: int = 0
    limit: int = 0
    history: deque[tuple[float, float, int]] = field(default_factory=lambda: deque(maxlen=SAMPLES))


class Status:
    """All tasks by key and all workers by address.

    Examples
    --------
    >>> status = Status()
    >>> status.fold([TaskChanged(1.0, "k", "running", worker="w")])
    >>> status.tasks["k"].state, status.tasks["k"].started
    ('running', 1.0)
    """

    def __init__(self, keep: int = KEEP) -> None:
        self.tasks: dict[str, TaskStatus] = {}
        self.workers: dict[str, WorkerStatus] = {}
        self._keep = keep
        self._ended: deque[str] = deque()

    def fold(self, events: Iterable[Event]) -> None:
        """Take in events, in their order."""
        for event in events:
            match event:
                case TaskChanged():
                    self._changed(event)
                    if event.state in FINAL:
                        self._count(event.task)
                case TasksSpawned():
                    self._spawned(event)
                case TaskComputed():
                    task = self._task(event.task)
                    task.computed = True
                    task.worker, task.attempt = event.worker, event.attempt
                    task.finished, task.seconds = event.time, event.seconds
                    task.cpu, task.grown = event.cpu, event.grown
                    task.outputs = dict(event.outputs)
                case TaskCached():
                    task = self._anew(event.task)
                    task.state, task.why, task.computed = "cached", event.why, True
                    task.outputs = dict(event.outputs)
                    self._count(event.task)
                case TaskFailed():
                    task = self._task(event.task)
                    task.state, task.failure = "error", event.failure
                    task.worker, task.attempt = event.worker, event.attempt
                    task.finished = event.time
                case TaskLog():
                    self._task(event.task).wrote(event.stream, event.text)
                case TaskProgress():
                    self._task(event.task).progress = (event.done, event.total, event.note)
                case WorkerChanged():
                    self._worker_changed(event)
                case WorkerSample():
                    worker = self.workers.setdefault(event.worker, WorkerStatus())
                    worker.cpu, worker.memory, worker.limit = event.cpu, event.memory, event.limit
                    worker.history.append((event.time, event.cpu, event.memory))

    def _task(self, key: str) -> TaskStatus:
        found = self.tasks.get(key)
        if found is None:
            found = self.tasks[key] = TaskStatus()
        return found

    def expect(self, key: str) -> None:
        """Have a task that is asked for at the top known, however many are added by others."""
        self._task(key).asked = True

    def renew(self, key: str) -> None:
        """Forget how a task ended that is asked for again."""
        self.tasks[key] = TaskStatus(asked=True)

    def _anew(self, key: str) -> TaskStatus:
        """Keep of a task only who it is."""
        old = self._task(key)
        self.tasks[key] = new = TaskStatus(name=old.name, root=old.root, asked=old.asked)
        return new

    def _changed(self, event: TaskChanged) -> None:
        old = self._task(event.task)
        anew = event.state == "waiting" and not event.attempt
        if anew or (event.state in {"waiting", "ready"} and old.settled):
            old = self._anew(event.task)
        old.state, old.why = event.state, event.why
        if event.state == "running":
            old.worker, old.attempt, old.started = event.worker, event.attempt, event.time
        elif event.state in ("error", "cancelled"):
            old.finished = event.time

    def _spawned(self, event: TasksSpawned) -> None:
        root = self._task(event.parent).root or event.parent
        top = self._task(root)
        top.added += len(event.tasks)
        for key, name in event.tasks:
            kind = label_of(name)
            top.kinds = top.kinds.set(kind, top.kinds.get(kind, 0) + 1)
            task = self._task(key)
            task.name, task.root = name, root

    def _count(self, key: str) -> None:
        """Count an added task that has ended; of those that nobody else asked for, few are kept."""
        root = self.tasks[key].root
        if not root:
            return
        if root in self.tasks:
            self.tasks[root].ended += 1
        self._ended.append(key)
        while len(self._ended) > self._keep:
            first = self._ended.popleft()
            oldest = self.tasks.get(first)
            if oldest is not None and oldest.settled and not oldest.asked:
                del self.tasks[first]

    def _worker_changed(self, event: WorkerChanged) -> None:
        if event.state == "left":
            self.workers.pop(event.worker, None)
            return
        worker = self.workers.setdefault(event.worker, WorkerStatus())
        worker.state, worker.name, worker.threads = event.state, event.name, event.threads
