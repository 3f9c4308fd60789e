"""Ready tasks × leases -> assignments: late binding, in batches sized by measured durations.

A task is bound to a lease only when the lease can start it, or is about to: a lease is given work
until `AHEAD` seconds of it are expected to be left in its hands. So short tasks travel in large
batches (a message costs as much as many of them), and long ones one by one, shortly before the one
before them ends; nothing is bound behind one that takes longer than expected.
What tasks need and workers have is counted in ``machines``; whose turn it is says ``turns``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from jupyter_wf.engine.machines import NONE, Grant, Machine
from jupyter_wf.engine.ready import Ready
from jupyter_wf.engine.turns import Class, Place, Turns
from jupyter_wf.requirements import Requirements
from jupyter_wf.resources import Amounts, need_of

AHEAD = 0.02
MOST = 256
#: Seconds for which a task may take longer than expected until nobody knows when it will end.
PATIENCE = 0.05
#: No task is expected to cost a lease less: loading, hashing and answering take this long.
LEAST = 5e-5
#: Seconds it takes to move one byte between workers, for weighing locality against balance.
PER_BYTE = 1e-9
#: Bytes of inputs from which they had better come while something else runs.
LARGE = 1_000_000
NEW = 0.3
#: Executions of a code from which one can tell what is usual.
FEW = 3
UNKNOWN = float("inf")
NEVER = (UNKNOWN, 0.0, 0)


class Durations:
    """Expected seconds of a task's body, by its code's fingerprint.

    Examples
    --------
    >>> known = Durations()
    >>> known.expect("f")
    inf
    >>> known.learn("f", 2.0); known.learn("f", 1.0); known.expect("f")
    1.7
    """

    def __init__(self) -> None:
        #: Their mean, how far they are from it, and how many were seen.
        self._seen: dict[str, tuple[float, float, int]] = {}

    def expect(self, fingerprint: str) -> float:
        """Return expected seconds, infinite if this code has never run."""
        return self._seen.get(fingerprint, NEVER)[0]

    def most(self, fingerprint: str) -> float | None:
        """Return the seconds that a body hardly ever takes longer, None if few were seen."""
        mean, spread, count = self._seen.get(fingerprint, NEVER)
        return None if count < FEW else mean + 2 * spread

    def learn(self, fingerprint: str, seconds: float) -> None:
        """Take note of one measured duration."""
        seconds = max(seconds, LEAST)
        mean, spread, count = self._seen.get(fingerprint) or (seconds, 0.0, 0)
        away = abs(seconds - mean)
        self._seen[fingerprint] = (
            mean + NEW * (seconds - mean),
            spread + NEW * (away - spread),
            count + 1,
        )


@dataclass(slots=True)
class Lease:
    """A slot: the attempts in its hands, in order, each with its expected seconds.

    `since` is when the first of them came to be the first, which is when it started. Those that are
    `parked` wait for their children, each since when it started, and take no room.
    """

    nonce: str
    machine: Machine
    hands: dict[int, float] = field(default_factory=dict)
    load: float = 0.0
    need: Amounts | None = None
    grant: Grant = NONE
    since: float = 0.0
    parked: dict[int, float] = field(default_factory=dict)

    def take(self, serial: int, seconds: float, need: Amounts) -> None:
        """Put an attempt into the lease's hands; the first takes what all of them need."""
        if self.need is None:
            self.need = need
            self.grant = self.machine.take(need)
        self.hands[serial] = seconds
        self.load += seconds

    def give(self, serial: int) -> bool:
        """Take an attempt out of the lease's hands; say whether it was there."""
        seconds = self.hands.pop(serial, None)
        if seconds is None:
            return False
        if self.hands and self.load != UNKNOWN:
            self.load -= seconds
        else:
            self.load = sum(self.hands.values())
        if not self.hands and self.need is not None:
            self.machine.give(self.need, self.grant)
            self.need, self.grant = None, NONE
        return True

    def park(self, serial: int) -> None:
        """Let an attempt wait beside the lease's hands."""
        if self.give(serial):
            self.parked[serial] = self.since

    def late(self, now: float) -> bool:
        """Whether the first in its hands takes longer than expected, so that none should wait."""
        return now > self.since + next(iter(self.hands.values()), UNKNOWN) + PATIENCE

    def due(self) -> float | None:
        """Return from when on it has room for more, if it is to while the first one runs."""
        first = next(iter(self.hands.values()), UNKNOWN)
        return self.since + self.load - AHEAD if self.load < first + AHEAD else None

    def room(self, need: Amounts, now: float) -> bool:
        """Whether another task with this need may be bound to this lease now."""
        machine = self.machine
        if machine.shut:
            return False
        if self.need is None:
            return machine.fits(need)
        if len(self.hands) >= MOST or not self._shares(need) or self.late(now):
            return False
        due = self.due()
        return due is not None and due <= now

    def next_room(self, need: Amounts) -> bool:
        """Whether a task may be bound to what runs here, as the next, to have its inputs come."""
        return len(self.hands) == 1 and not self.machine.suspect and self._shares(need)

    def _shares(self, need: Amounts) -> bool:
        if self.need != need:
            return False
        kept = self.machine.kept
        if kept is not None and kept != need:
            return False
        return not self.grant or all(room.kept is None or room.kept == need for room in self.grant)


def class_of(requirements: Requirements) -> Class:
    """Return what decides where a task may run: its partition and what it takes there."""
    return requirements.partition, need_of(requirements)


Bind = Callable[[str, Lease, float, Amounts], None]


def assign(
    ready: Ready,
    leases: Iterable[Lease],
    expect: Callable[[str], float],
    weigh: Callable[[str], Mapping[str, int]],
    bind: Bind,
    turns: Turns,
    pooled: bool,
    now: float,
) -> None:
    """Bind ready tasks to leases until no lease has room or no task is ready.

    Parameters
    ----------
    ready : Ready
        Tasks leave it as they are bound.
    leases : iterable of Lease
        Those that may be given work.
    expect : callable
        Task -> expected seconds of its body.
    weigh : callable
        Task -> bytes of its inputs in the memory of each worker; empty if it hardly matters.
    bind : callable
        Takes (task, lease, expected seconds, need); calls `Lease.take`.
    turns : Turns
        Who was overtaken, from one call to the next.
    pooled : bool
        Whether a task that names a partition may run in that only: where no worker declares one,
        any serves all.
    now : float
        Seconds since the epoch.
    """
    pool = list(leases)
    turns.slots = len(pool)
    classes = ready.classes()
    for where in turns.order(classes):
        partition, need = where
        fitting = pool
        if partition is not None and pooled:
            fitting = [lease for lease in pool if lease.machine.partition == partition]
        last: Place | None = None
        count = 0
        while fitting:
            open_ = [lease for lease in fitting if lease.room(lease.machine.clamped(need), now)]
            if not open_ or ready.first(where) is None:
                break
            lease = min(open_, key=_sparing if not need.devices else partial(_snug, need))
            last, filled = _fill(lease, open_, where, ready, expect, weigh, bind, now)
            count += filled
        if len(classes) > 1:
            if last is not None:
                turns.started(where, last, count)
            if turns.due(where) and ready.first(where) is not None:
                turns.keep(where, {one.machine.name: one.machine for one in fitting}.values())


def assign_next(
    ready: Ready,
    leases: Iterable[Lease],
    expect: Callable[[str], float],
    fetches: Callable[[str, str], int],
    bind: Bind,
    pooled: bool,
) -> None:
    """Bind to busy leases what they will run next, if its inputs take long to come.

    Only the first task of each class is looked at, and each lease has one at most: whoever is idle
    before it begins calls it back.

    Parameters
    ----------
    ready, leases, expect, bind, pooled
        See `assign`.
    fetches : callable
        (Task, worker) -> bytes of inputs that the worker does not have.
    """
    pool = [lease for lease in leases if len(lease.hands) == 1]
    for _, where in sorted(ready.classes()) if pool else ():
        partition, need = where
        for lease in pool:
            machine = lease.machine
            first = ready.first(where)
            if first is None:
                break
            if partition is not None and pooled and machine.partition != partition:
                continue
            if lease.next_room(machine.clamped(need)) and fetches(first[1], machine.name) >= LARGE:
                ready.discard(first[1])
                bind(first[1], lease, expect(first[1]), machine.clamped(need))


def _sparing(lease: Lease) -> tuple[float, int]:
    """Order leases for tasks that need no device: idle ones first, on workers without."""
    return lease.load, len(lease.machine.rooms)


def _snug(need: Amounts, lease: Lease) -> tuple[int, int, float]:
    """Order leases for tasks that need devices: where the least of a device is left."""
    machine = lease.machine
    grant = lease.grant or machine.choose(machine.clamped(need)) or NONE
    left = sum(room.gpu for room in grant)
    return left, sum(1 for room in machine.rooms if room.gpu), lease.load


def _fill(
    lease: Lease,
    open_: list[Lease],
    where: Class,
    ready: Ready,
    expect: Callable[[str], float],
    weigh: Callable[[str], Mapping[str, int]],
    bind: Bind,
    now: float,
) -> tuple[Place, int]:
    """Give `lease` its share of one class; a task with large inputs may go elsewhere.

    Returns the place of the last task that was bound, and how many were: one at least.
    """
    share, count, last = MOST, 0, (0, 0)
    need = lease.machine.clamped(where[1])
    while count < share and (first := ready.first(where)) is not None:
        place, task = first
        seconds = expect(task)
        if not count and seconds != UNKNOWN:
            # Guided: never more than half of an even split, so that leases finish together.
            share = max(1, min(MOST, ready.count(where) // (2 * len(open_))))
        here = weigh(task)
        target = min(open_, key=lambda one: _cost(one, here)) if here else lease
        if target is not lease:
            need = target.machine.clamped(where[1])
        if count and target is lease:
            # It is of the same kind as the one before, for which the rest was looked at.
            if lease.load >= AHEAD or len(lease.hands) >= MOST:
                break
        elif not target.room(need, now):
            break
        ready.discard(task)
        bind(task, target, seconds, need)
        last, count = place, count + 1
        if target is not lease or seconds == UNKNOWN:
            break
    return last, count


def _cost(lease: Lease, here: Mapping[str, int]) -> float:
    """Return seconds, up to a constant, until a task could start in `lease` with its inputs."""
    return lease.load - here.get(lease.machine.name, 0) * PER_BYTE
