"""Who goes next: the largest first, but nobody is overtaken too often.

Large needs first is what packs best. But where small tasks never end, a device is never free as a
whole; and where large ones never end, a small one has no turn. So it is counted how many tasks that
came later were started while the first of its kind waited. One that was overtaken too often goes
first, and what it waits for is *kept*: nothing else is started there until it fits. Counting starts
instead of seconds makes this work alike for tasks of a millisecond and of an hour.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from jupyter_wf.engine.machines import Machine, Room
from jupyter_wf.resources import WHOLE, Amounts, serves

#: How many may overtake a task before it is kept a place, at least; and for each slot there is.
LEAST = 8
EACH = 2

#: What decides where a task may run: its partition, and what it takes there.
Class = tuple[str | None, Amounts]
#: (minus its priority, number in order of submission): of ready tasks, the least starts first.
Place = tuple[int, int]


def size(need: Amounts) -> tuple[int, int, int, int, int]:
    """Return what makes a need larger than another: what there is least of first."""
    named = sum(amount for _, amount in need.named)
    return need.gpu, need.gpu_memory, named, need.memory, need.cpu


@dataclass(slots=True)
class Waiting:
    """The first task of a kind, how many have overtaken it, and what is kept for it."""

    place: Place
    overtaken: int = 0
    best: Machine | None = None
    rooms: tuple[Room, ...] = ()
    whole: bool = False

    def let_go(self) -> None:
        """Keep nothing any more."""
        if self.whole and self.best is not None:
            self.best.kept = None
        for room in self.rooms:
            room.kept = None
        self.best, self.rooms, self.whole = None, (), False


@dataclass(slots=True)
class Turns:
    """Takes note of who waits: the first task of each kind, and who has overtaken it."""

    slots: int = 1
    _waiting: dict[Class, Waiting] = field(default_factory=dict)

    def order(self, firsts: list[tuple[Place, Class]]) -> list[Class]:
        """Return kinds in the order in which they may choose, given the first task of each."""
        for place, kind in firsts:
            self._seen(place, kind)
        if len(firsts) < len(self._waiting):
            for kind in self._waiting.keys() - {kind for _, kind in firsts}:
                self._waiting.pop(kind).let_go()
        if len(firsts) > 1:
            firsts = sorted(firsts, key=lambda first: self._rank(*first))
        return [kind for _, kind in firsts]

    def _seen(self, place: Place, kind: Class) -> None:
        waiting = self._waiting.get(kind)
        if waiting is None:
            self._waiting[kind] = Waiting(place)
        elif waiting.place != place:
            waiting.let_go()
            waiting.place, waiting.overtaken = place, 0

    def _rank(self, place: Place, kind: Class) -> tuple[int, bool, tuple[int, ...], Place]:
        if self.due(kind):
            return place[0], False, (), place
        return place[0], True, tuple([-amount for amount in size(kind[1])]), place

    def started(self, kind: Class, last: Place, count: int) -> None:
        """Note that `count` tasks of a kind were started, of which `last` came last."""
        for other, waiting in self._waiting.items():
            # One of a higher priority goes first by right.
            if other != kind and waiting.place[0] == last[0] and waiting.place < last:
                waiting.overtaken += count

    def lost(self, machine: Machine) -> None:
        """Keep nothing on a machine that is gone."""
        for waiting in self._waiting.values():
            if waiting.best is machine:
                waiting.let_go()

    def due(self, kind: Class) -> bool:
        """Whether a kind was overtaken too often."""
        waiting = self._waiting.get(kind)
        return waiting is not None and waiting.overtaken >= max(LEAST, EACH * self.slots)

    def keep(self, kind: Class, machines: Iterable[Machine]) -> None:
        """Keep a place for a kind that is due, on the machine where least must end for it."""
        waiting, need = self._waiting[kind], kind[1]
        if waiting.best is not None:
            self._keep_all(waiting, waiting.best.clamped(need))
            return
        able = [
            machine
            for machine in machines
            if serves(machine.offer, need)
            and not machine.shut
            and machine.kept is None
            and len(_devices(machine, need)) >= need.devices
        ]
        if not able:
            return
        best = min(able, key=lambda machine: _short(machine, machine.clamped(need)))
        exact = best.clamped(need)
        waiting.best, waiting.rooms = best, tuple(_devices(best, need)[: need.devices])
        for room in waiting.rooms:
            room.kept = exact
        self._keep_all(waiting, exact)

    @staticmethod
    def _keep_all(waiting: Waiting, need: Amounts) -> None:
        """Keep the whole worker if it is short of more than devices, and the one slot they free."""
        best = waiting.best
        assert best is not None
        cpu = need.cpu > best.cpu and (need.cpu > WHOLE or not waiting.rooms)
        if best.kept is None and (cpu or need.memory > best.memory or not best.has_named(need)):
            best.kept, waiting.whole = need, True


def _devices(machine: Machine, need: Amounts) -> list[Room]:
    """Return the devices of a machine that nobody keeps and that are large enough, freest first."""
    rooms = [
        room
        for room in machine.rooms
        if room.kept is None and room.device.memory >= need.gpu_memory
    ]
    return sorted(rooms, key=lambda room: (-room.gpu, -room.memory)) if need.devices else []


def _short(machine: Machine, need: Amounts) -> tuple[int, int, int, int]:
    """Return how much must end on a machine until a task fits."""
    gpu = memory = 0
    for room in _devices(machine, need)[: need.devices]:
        wants = room.takes(need)
        gpu += max(0, wants[0] - room.gpu)
        memory += max(0, wants[1] - room.memory)
    return gpu, memory, max(0, need.memory - machine.memory), max(0, need.cpu - machine.cpu)
