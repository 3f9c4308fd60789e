"""What an engine and a workflow report, as frozen values: the only way news travels upwards.

Tasks are named by their *key* (see `fingerprint`), never by the name a graph gives them, because
several names may share one key. Times are seconds since the epoch. Listeners receive events in
batches, in order, from any thread, and must return quickly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from jupyter_wf.frozen import value
from jupyter_wf.records import Stored

State = Literal["waiting", "ready", "running", "stored", "cached", "error", "cancelled"]
RunState = Literal["running", "stored", "error", "cancelled"]
FINAL: frozenset[str] = frozenset({"stored", "cached", "error", "cancelled"})


@value(frozen=True, slots=True)
class Failure:
    """Why an attempt failed; `lines` are 1-based line numbers in the cell or function's source."""

    type: str
    message: str
    traceback: str
    lines: tuple[int, ...] = ()


@value(frozen=True, slots=True)
class TaskChanged:
    """A task entered `state`; `why` says the reason in words where it is not obvious."""

    time: float
    task: str
    state: State
    worker: str = ""
    attempt: int = 0
    why: str = ""


@value(frozen=True, slots=True)
class TasksSpawned:
    """A running task added tasks, pairs (key, name), to the graph."""

    time: float
    parent: str
    tasks: tuple[tuple[str, str], ...]


@value(frozen=True, slots=True)
class TaskComputed:
    """An attempt was accepted: its values exist in memory, and are being written.

    `outputs` are pairs (name within the task, value); `seconds` is the wall time of the body, `cpu`
    its CPU seconds, `grown` the bytes of memory that the worker's process has now and did not have
    when the attempt before ended there.
    """

    time: float
    task: str
    worker: str
    attempt: int
    seconds: float
    outputs: tuple[tuple[str, Stored], ...]
    cpu: float = 0.0
    grown: int = 0


@value(frozen=True, slots=True)
class TaskCached:
    """A task needs no run, because its values are stored already; its state is now ``cached``.

    Emitted by the workflow for a key that is stored, and by the engine when a task becomes ready
    whose code has read the same values before (early cut-off); `why` tells them apart.
    """

    time: float
    task: str
    outputs: tuple[tuple[str, Stored], ...]
    why: str


@value(frozen=True, slots=True)
class TaskFailed:
    """The last attempt of a task failed; its state is now ``error``."""

    time: float
    task: str
    worker: str
    attempt: int
    failure: Failure


@value(frozen=True, slots=True)
class TaskLog:
    """Text a running task wrote; `stream` is ``stdout``, ``stderr``, ``warning`` or ``log``."""

    time: float
    task: str
    stream: str
    text: str


@value(frozen=True, slots=True)
class TaskProgress:
    """A running task has done `done` of `total` steps (total 0: unknown)."""

    time: float
    task: str
    done: float
    total: float
    note: str = ""


@value(frozen=True, slots=True)
class WorkerChanged:
    """A worker joined, left, is about to leave, or is suspected because it does not answer."""

    time: float
    worker: str
    state: Literal["joined", "left", "leaving", "suspect"]
    name: str = ""
    threads: int = 1
    why: str = ""


@value(frozen=True, slots=True)
class WorkerSample:
    """What a worker's process uses: `cpu` in cores, memory in bytes, `limit` 0 if there is none."""

    time: float
    worker: str
    cpu: float
    memory: int
    limit: int = 0


@value(frozen=True, slots=True)
class GraphChanged:
    """The workflow's graph is now at `revision`, by the operation `label`."""

    time: float
    revision: int
    label: str


@value(frozen=True, slots=True)
class RunChanged:
    """A run started, or ended in a state."""

    time: float
    run: str
    state: RunState


Event = (
    TaskChanged
    | TasksSpawned
    | TaskComputed
    | TaskCached
    | TaskFailed
    | TaskLog
    | TaskProgress
    | WorkerChanged
    | WorkerSample
    | GraphChanged
    | RunChanged
)
Listener = Callable[[tuple[Event, ...]], None]
