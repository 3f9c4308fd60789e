"""Ready tasks × leases -> assignments: late binding, in batches sized by measured durations.

A task is bound to a lease only when the lease can start it, or is about to: a lease is given work
until `AHEAD` seconds of it are expected to be in its hands. So short tasks travel in large batches
(a message costs as much as many of them), and long ones one by one (nothing queues behind them).
Resources are integers, because sums of fractions drift until a whole device is never free.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice

from jupyter_wf.engine.signals import Vector
from jupyter_wf.graph import Requirements

AHEAD = 0.02
MOST = 256
#: No task is expected to cost a lease less: loading, hashing and answering take this long.
LEAST = 5e-5
#: Seconds it takes to move one byte between workers, for weighing locality against balance.
PER_BYTE = 1e-9
NEW = 0.3
UNKNOWN = float("inf")


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
        self._means: dict[str, float] = {}

    def expect(self, fingerprint: str) -> float:
        """Return expected seconds, infinite if this code has never run."""
        return self._means.get(fingerprint, UNKNOWN)

    def learn(self, fingerprint: str, seconds: float) -> None:
        """Take note of one measured duration."""
        old = self._means.get(fingerprint)
        seconds = max(seconds, LEAST)
        self._means[fingerprint] = seconds if old is None else old + NEW * (seconds - old)


@dataclass(slots=True)
class Machine:
    """A worker: what it has, and what is not taken by attempts in its leases.

    One that is `suspect`, because it is silent, is given nothing until it is heard again.
    """

    name: str
    partition: str | None
    offer: Vector
    free: Vector
    leases: set[str] = field(default_factory=set)
    suspect: bool = False


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
    need: Vector | None = None
    since: float = 0.0
    parked: dict[int, float] = field(default_factory=dict)

    def take(self, serial: int, seconds: float, need: Vector) -> None:
        """Put an attempt into the lease's hands."""
        if self.need is None:
            self.need = need
            self.machine.free = self.machine.free.minus(need)
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
            self.machine.free = self.machine.free.plus(self.need)
            self.need = None
        return True

    def park(self, serial: int) -> None:
        """Let an attempt wait beside the lease's hands."""
        if self.give(serial):
            self.parked[serial] = self.since

    def room(self, need: Vector) -> bool:
        """Whether another task with this need may be bound to this lease now."""
        if self.machine.suspect:
            return False
        if self.need is None:
            return self.machine.free.covers(need)
        return self.need == need and self.load < AHEAD and len(self.hands) < MOST


Class = tuple[str | None, Vector]
#: (minus its priority, number in order of submission): of ready tasks, the least starts first.
Place = tuple[int, int]


def need_of(requirements: Requirements) -> Class:
    """Return what decides where a task may run: its partition and its vector."""
    return requirements.partition, Vector(requirements.cpu, requirements.gpu, requirements.memory)


class Ready:
    """Tasks whose inputs exist, by what they need: by priority, then as they were submitted."""

    def __init__(self) -> None:
        self._heaps: dict[Class, list[tuple[Place, str]]] = {}
        self._members: set[str] = set()

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, task: str) -> bool:
        return task in self._members

    def add(self, place: Place, task: str, where: Class) -> bool:
        """Add a task, in its `place` among all; say whether it is the first of its needs."""
        self._members.add(task)
        heap = self._heaps.get(where)
        if heap is None:
            self._heaps[where] = [(place, task)]
            return True
        heapq.heappush(heap, (place, task))
        return False

    def discard(self, task: str) -> None:
        """Remove a task, if it is here."""
        self._members.discard(task)

    def sample(self, count: int) -> list[str]:
        """Return at most `count` of the tasks, whichever."""
        return [*islice(self._members, count)]

    def classes(self) -> list[Class]:
        """Return the kinds of need that tasks here have; the first task's first."""
        found = []
        for where, heap in list(self._heaps.items()):
            while heap and heap[0][1] not in self._members:
                heapq.heappop(heap)
            if heap:
                found.append((heap[0], where))
            else:
                del self._heaps[where]
        return [where for _, where in sorted(found, key=lambda pair: pair[0])]

    def first(self, where: Class) -> str | None:
        """Return the first task with this need."""
        heap = self._heaps.get(where, [])
        while heap and heap[0][1] not in self._members:
            heapq.heappop(heap)
        return heap[0][1] if heap else None

    def count(self, where: Class) -> int:
        """Return at most how many tasks have this need."""
        return len(self._heaps.get(where, ()))


def assign(
    ready: Ready,
    leases: Iterable[Lease],
    expect: Callable[[str], float],
    weigh: Callable[[str], Mapping[str, int]],
    bind: Callable[[str, Lease, float, Vector], None],
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
    """
    pool = list(leases)
    pooled = any(lease.machine.partition is not None for lease in pool)
    for where in ready.classes():
        partition, asked = where
        fitting = [
            lease
            for lease in pool
            if partition is None or not pooled or lease.machine.partition == partition
        ]
        while fitting:
            open_ = [lease for lease in fitting if lease.room(_clamped(asked, lease.machine))]
            if not open_ or ready.first(where) is None:
                break
            lease = min(open_, key=lambda lease: lease.load)
            _fill(lease, open_, where, ready, expect, weigh, bind)


def _fill(
    lease: Lease,
    open_: list[Lease],
    where: Class,
    ready: Ready,
    expect: Callable[[str], float],
    weigh: Callable[[str], Mapping[str, int]],
    bind: Callable[[str, Lease, float, Vector], None],
) -> None:
    """Give `lease` its share of one class; a task with large inputs may go elsewhere."""
    share = MOST
    while share > 0 and (task := ready.first(where)) is not None:
        seconds = expect(task)
        if share == MOST and seconds != UNKNOWN:
            # Guided: never more than half of an even split, so that leases finish together.
            share = max(1, min(MOST, ready.count(where) // (2 * len(open_))))
        here = weigh(task)
        target = min(open_, key=lambda one: _cost(one, here)) if here else lease
        need = _clamped(where[1], target.machine)
        if not target.room(need):
            return
        ready.discard(task)
        bind(task, target, seconds, need)
        if target is not lease or seconds == UNKNOWN:
            return
        share -= 1


def _cost(lease: Lease, here: Mapping[str, int]) -> float:
    """Return seconds, up to a constant, until a task could start in `lease` with its inputs."""
    return lease.load - here.get(lease.machine.name, 0) * PER_BYTE


def _clamped(need: Vector, machine: Machine) -> Vector:
    """Let a task that asks for more cores than a worker has take all of them."""
    return need if need.cpu <= machine.offer.cpu else need._replace(cpu=machine.offer.cpu)
