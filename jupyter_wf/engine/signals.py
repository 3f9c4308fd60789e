"""What goes into the live graph (stimuli) and what comes out (instructions), as frozen values.

An *attempt* is one execution of a task by one lease. Its `serial` is unique in an engine, so an
answer that comes late, or twice, is recognised and rejected: only a task's current attempt commits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import NamedTuple

from jupyter_wf.engine.abc import Job
from jupyter_wf.events import Event, Failure
from jupyter_wf.frozen import value
from jupyter_wf.records import Record, Stored
from jupyter_wf.resources import Offer


class Source(NamedTuple):
    """Where a task finds an input: in the memory of `holders`, or in the store if `durable`."""

    content: str
    nbytes: int
    holders: tuple[str, ...]
    durable: bool


@value(frozen=True, slots=True)
class Attempt:
    """One execution of a task, as it is handed to a lease.

    Parameters
    ----------
    serial : int
        Unique in this engine.
    number : int
        1 for a task's first attempt.
    job : Job
    recipe : str
    sources : tuple of Source
        Where the inputs are, in the order of ``job.inputs``.
    run : str
        The run that asked for it.
    gpus : tuple of str
        The devices that it was given, as CUDA_VISIBLE_DEVICES names them.
    """

    serial: int
    number: int
    job: Job
    recipe: str
    sources: tuple[Source, ...]
    run: str
    gpus: tuple[str, ...] = ()


# -- stimuli: what happened --------------------------------------------------------------------


class Grown(NamedTuple):
    """A task of a computation that was handed on, and if it has handed on in its turn, what to."""

    job: Job
    delegates: tuple[str, ...]
    recipe: str
    read: tuple[tuple[str, str, str], ...]


class Snapshot(NamedTuple):
    """Where the computation of the task `key` stands: tasks, and the values they read by data."""

    key: str
    grown: tuple[Grown, ...]
    known: Mapping[str, str]


@value(frozen=True, slots=True)
class Submit:
    """Jobs to take on; `known` gives content ids of data that is stored or held already.

    `snapshots` say where some of them had come to before a crash.
    """

    jobs: tuple[Job, ...]
    known: Mapping[str, str]
    run: str = ""
    snapshots: tuple[Snapshot, ...] = ()


@value(frozen=True, slots=True)
class Cancel:
    """Stop these tasks and all that need them."""

    tasks: tuple[str, ...]
    why: str = "by you"


@value(frozen=True, slots=True)
class Forget:
    """Drop these tasks, if finished, with their values."""

    tasks: tuple[str, ...]


@value(frozen=True, slots=True)
class WorkerJoined:
    """A worker is here, though there may be no slot of it yet."""

    worker: str
    partition: str | None = None
    offer: Offer = field(default_factory=Offer)


@value(frozen=True, slots=True)
class LeaseJoined:
    """A slot of `worker` takes attempts; `offer` is what the whole worker has, if that is new."""

    nonce: str
    worker: str
    partition: str | None = None
    offer: Offer = field(default_factory=Offer)


@value(frozen=True, slots=True)
class LeaseEnded:
    """A slot was given back; what it had not answered did not run."""

    nonce: str


@value(frozen=True, slots=True)
class WorkerLost:
    """A worker is gone, with its leases and the values in its memory.

    It was `starved` if it had all but used up its memory.
    """

    worker: str
    why: str
    starved: bool = False


@value(frozen=True, slots=True)
class Suspect:
    """A worker is not heard (`silent`), or is heard again: busy, or stopped, nobody can tell."""

    worker: str
    silent: bool


class Family(NamedTuple):
    """What an attempt adds to the graph: tasks, and values that they read, by the data's key."""

    jobs: tuple[Job, ...] = ()
    given: tuple[tuple[str, Stored], ...] = ()


NOBODY = Family()


@value(frozen=True, slots=True)
class Leaving:
    """A worker is about to go: it is given nothing any more, and hands back what it can."""

    worker: str


@value(frozen=True, slots=True)
class Finished:
    """An attempt came to its `outputs` (in the job's order); `loaded` are inputs it now holds.

    An output is a value, or the key of a data: that of a child, to which it is handed on.
    """

    nonce: str
    serial: int
    outputs: tuple[Stored | str, ...]
    seconds: float
    cpu: float = 0.0
    grown: int = 0
    loaded: tuple[str, ...] = ()
    family: Family = NOBODY


@value(frozen=True, slots=True)
class Spawned:
    """An attempt adds to the graph before it ends, because it is going to wait for a child."""

    nonce: str
    serial: int
    family: Family


@value(frozen=True, slots=True)
class Awaiting:
    """An attempt's body waits for these data; its lease goes on with other attempts."""

    nonce: str
    serial: int
    data: tuple[str, ...]


@value(frozen=True, slots=True)
class Failed:
    """An attempt raised; `kinds` are the names of the exception's class and its bases."""

    nonce: str
    serial: int
    failure: Failure
    kinds: tuple[str, ...] = ()


@value(frozen=True, slots=True)
class Missing:
    """An attempt could not start: it found these contents neither with peers nor in the store."""

    nonce: str
    serial: int
    contents: tuple[str, ...]


@value(frozen=True, slots=True)
class Unrun:
    """A lease hands attempts back that it had not begun."""

    nonce: str
    serials: tuple[int, ...]


@value(frozen=True, slots=True)
class Durable:
    """The record and values of an attempt are committed."""

    serial: int


@value(frozen=True, slots=True)
class Unstored:
    """The values of an attempt could not be written."""

    serial: int
    why: str


@value(frozen=True, slots=True)
class Tick:
    """Time has passed."""


Stimulus = (
    Submit
    | Cancel
    | Forget
    | WorkerJoined
    | LeaseJoined
    | LeaseEnded
    | WorkerLost
    | Suspect
    | Leaving
    | Finished
    | Spawned
    | Awaiting
    | Failed
    | Missing
    | Unrun
    | Durable
    | Unstored
    | Tick
)


# -- instructions: what to do ------------------------------------------------------------------


@value(frozen=True, slots=True)
class HandOver:
    """Give a lease attempts, to be run in this order."""

    worker: str
    nonce: str
    attempts: tuple[Attempt, ...]


@value(frozen=True, slots=True)
class Interrupt:
    """Stop an attempt: by an exception in its thread, or `hard`, by ending its process."""

    worker: str
    nonce: str
    serial: int
    hard: bool = False


@value(frozen=True, slots=True)
class Provide:
    """Tell an attempt that waits for `data` where it is, or why it will not come."""

    worker: str
    nonce: str
    serial: int
    data: str
    source: Source | None
    failure: Failure | None = None


@value(frozen=True, slots=True)
class Recall:
    """Ask a lease for the attempts it has not begun: other leases are idle."""

    worker: str
    nonce: str


@value(frozen=True, slots=True)
class Drop:
    """Let a worker forget values."""

    worker: str
    contents: tuple[str, ...]


@value(frozen=True, slots=True)
class Demand:
    """As many slots could be used now as there are tasks ready or running."""

    tasks: int


@value(frozen=True, slots=True)
class Remember:
    """Commit a record whose values the store has already."""

    record: Record


@value(frozen=True, slots=True)
class Note:
    """Keep where a computation stands, so that another engine can go on from there."""

    snapshot: Snapshot


@value(frozen=True, slots=True)
class Emit:
    """Tell the listeners; it is `urgent` if a task has come to something that was asked for."""

    events: tuple[Event, ...]
    urgent: bool = True


Instruction = HandOver | Interrupt | Provide | Recall | Drop | Demand | Remember | Note | Emit
