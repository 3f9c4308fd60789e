"""What the live graph knows: its tasks, and all that is noted about them and their attempts.

This is state alone. The modules around it say how it changes: ``transitions`` from a task's state
to state and ``ends`` from there to its last, ``reuse`` by what was computed before, ``asking`` by
people, ``answers`` by attempts, ``leases`` by workers and time, and ``binding`` by handing ready
tasks to leases. ``telling`` says what listeners hear of it.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from jupyter_wf.engine.abc import Job
from jupyter_wf.engine.machines import Machine, Room
from jupyter_wf.engine.packing import Durations, Lease
from jupyter_wf.engine.ready import Ready
from jupyter_wf.engine.signals import Durable, Instruction, Unstored
from jupyter_wf.engine.turns import Class, Turns
from jupyter_wf.engine.values import Datum, Values
from jupyter_wf.events import FINAL, Event, State
from jupyter_wf.records import Record, Stored
from jupyter_wf.requirements import Requirements
from jupyter_wf.resources import Amounts

#: A `TaskChanged` in the making, as most of them are superseded before anybody is told.
Change = tuple[float, str, State, str, int, str]


@dataclass(slots=True)
class Node:
    """One task of the live graph.

    Those that a running task added have a `root`: the task at the top to whose computation they
    belong. `delegates` are the data to which its outputs were handed on, `given` the values that it
    gave to its children, `guards` counts the attempts that may still refer to it, and `writing` is
    set while what it gave is not durable. One that ran out of memory, `starved` times, has more
    `reserved` than it asked for.
    """

    job: Job
    order: int
    run: str
    state: State = "waiting"
    why: str = ""
    missing: dict[str, None] = field(default_factory=dict)
    serial: int = 0
    number: int = 0
    failures: int = 0
    deaths: int = 0
    starved: int = 0
    reserved: Amounts | None = None
    lease: str = ""
    recipe: str = ""
    accepted: int = 0
    seconds: float = 0.0
    worker: str = ""
    outputs: tuple[Stored, ...] = ()
    overdue: bool = False
    copy: int = 0
    spare: str = ""
    doomed: bool = False
    root: str = ""
    delegates: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    guards: int = 0
    writing: int = 0
    read: tuple[tuple[str, str, str], ...] = ()

    def recipe_inputs(self, data: Mapping[str, Datum]) -> None:
        """Note what it has read, for its record, before it lets go of it."""
        self.read = tuple([(s, d, data[d].content or "") for s, d in self.job.inputs])

    @property
    def active(self) -> bool:
        """Whether it still has to compute."""
        return self.state not in FINAL and not self.accepted


@dataclass(slots=True)
class Live:
    """All that a live graph knows.

    Parameters
    ----------
    find : callable
        Recipe -> record of the same code having read the same values, if the store has one.
    lookup : callable
        Key of a task -> its record, if the store has one.
    shared : bool
        Whether attempts are committed to a store; if not, computed values count as stored.
    values : Values
        What exists, and who holds and reads it.
    tasks : dict
        By key, every task that was submitted and not forgotten.
    machines, leases : dict
        By name and by nonce, who can run tasks.
    pooled : bool
        Whether workers declare partitions.
    rooms : dict
        By id, the devices of all workers.
    durations : Durations
        What is known of how long each code takes.
    ready, turns
        The tasks that could start, and whose turn it is.
    serials : dict
        Task of each attempt that is in a lease's hands and may commit.
    writing : dict
        Task of each accepted attempt that is not durable yet.
    early : dict
        What the store said of attempts whose answers are still on their way.
    recipes : dict
        Task that has computed, or found, what each recipe gives.
    classes : dict
        What decides where tasks with these requirements may run.
    unserved : dict
        Why no worker can serve tasks of a class, or nothing if one can, as the workers are now.
    alarms : dict
        When an attempt that was asked to stop is stopped by force, and whose lease it is in.
    paused : dict
        When tasks that failed are tried again.
    condemned : set
        Workers that end because they were told to.
    unsettled : deque
        Tasks whose inputs, or whose delegates' values, may have become complete.
    growing : dict
        The computations that were handed on: when they are noted next, the pause before that, and
        the tasks that were noted last.
    guarded, waits : dict
        By attempt, the children that it has added and may still refer to, and the data that its
        body has waited for.
    loosened : list
        Data that somebody no longer wants; their tasks may not be needed any more.
    remembered : dict
        What the newest of the children that were dropped gave, by recipe.
    events, latest
        What to tell listeners; the place of each task's newest change therein.
    urgent : bool
        Whether somebody may wait for one of the events.
    instructions : list
        What to do.
    speculate : float
        After how many times the usual time a task gets a copy; 0 for never.
    now : float
        Seconds since the epoch.
    order, serial : int
        The last numbers given to a task and to an attempt.
    children : int
        How many tasks here were added by running tasks.
    demanded : int
        The demand that was told last.
    full : bool
        Whether no lease had room for what is ready, and nothing has changed since.
    """

    find: Callable[[str], Record | None]
    lookup: Callable[[str], Record | None]
    shared: bool
    values: Values
    tasks: dict[str, Node] = field(default_factory=dict)
    machines: dict[str, Machine] = field(default_factory=dict)
    leases: dict[str, Lease] = field(default_factory=dict)
    pooled: bool = False
    rooms: dict[str, Room] = field(default_factory=dict)
    durations: Durations = field(default_factory=Durations)
    ready: Ready = field(default_factory=Ready)
    turns: Turns = field(default_factory=Turns)
    serials: dict[int, str] = field(default_factory=dict)
    writing: dict[int, str] = field(default_factory=dict)
    early: dict[int, Durable | Unstored] = field(default_factory=dict)
    recipes: dict[str, str] = field(default_factory=dict)
    classes: dict[Requirements, Class] = field(default_factory=dict)
    unserved: dict[Class, str] = field(default_factory=dict)
    alarms: dict[int, tuple[float, str]] = field(default_factory=dict)
    paused: dict[str, float] = field(default_factory=dict)
    condemned: set[str] = field(default_factory=set)
    unsettled: deque[str] = field(default_factory=deque)
    growing: dict[str, tuple[float, float, tuple[str, ...]]] = field(default_factory=dict)
    guarded: dict[int, list[str]] = field(default_factory=dict)
    waits: dict[int, list[str]] = field(default_factory=dict)
    loosened: list[str] = field(default_factory=list)
    remembered: OrderedDict[str, tuple[Stored, ...]] = field(default_factory=OrderedDict)
    events: list[Event | Change | None] = field(default_factory=list)
    latest: dict[str, int] = field(default_factory=dict)
    urgent: bool = False
    instructions: list[Instruction] = field(default_factory=list)
    speculate: float = 0.0
    now: float = 0.0
    order: int = 0
    serial: int = 0
    children: int = 0
    demanded: int = 0
    full: bool = False
