"""Workers and their devices: what of them is free, and what a task would take."""

from __future__ import annotations

from dataclasses import dataclass, field

from jupyter_wf.resources import WHOLE, Amounts, Device, Offer

Grant = tuple["Room", ...]
NONE: Grant = ()


@dataclass(slots=True)
class Room:
    """What is free of one device; those who see the same device share it.

    While it is `kept`, only tasks of that need are started on it.
    """

    device: Device
    gpu: int = WHOLE
    memory: int = 0
    kept: Amounts | None = None

    def __post_init__(self) -> None:
        self.memory = self.device.memory

    def takes(self, need: Amounts) -> tuple[int, int]:
        """Return the thousandths and megabytes that a task takes here: all if it wants it whole."""
        if need.gpu >= WHOLE:
            return WHOLE, self.device.memory
        return need.gpu, need.gpu_memory

    def fits(self, need: Amounts) -> bool:
        """Whether a task may start here now."""
        if self.kept is not None and self.kept != need:
            return False
        gpu, memory = self.takes(need)
        return self.gpu >= gpu and self.memory >= memory and self.device.memory >= need.gpu_memory


@dataclass(slots=True)
class Machine:
    """A worker: what it has, and what is not taken by attempts in its leases.

    One that is `suspect`, because it is silent, is given nothing until it is heard again, and one
    that is `leaving` is given nothing any more. While it is `kept`, only tasks of that need are
    started on it.
    """

    name: str
    partition: str | None
    offer: Offer
    rooms: Grant = ()
    cpu: int = 0
    memory: int = 0
    named: dict[str, int] = field(default_factory=dict)
    leases: set[str] = field(default_factory=set)
    suspect: bool = False
    leaving: bool = False
    kept: Amounts | None = None

    def __post_init__(self) -> None:
        offer = self.offer
        self.cpu, self.memory, self.named = offer.cpu, offer.memory, dict(offer.named)
        if not self.rooms:
            self.rooms = tuple([Room(device) for device in offer.devices])

    @property
    def shut(self) -> bool:
        """Whether nothing may be started here now."""
        return self.suspect or self.leaving

    def clamped(self, need: Amounts) -> Amounts:
        """Let a task that asks for more cores than a worker has take all of them."""
        return need if need.cpu <= self.offer.cpu else need._replace(cpu=self.offer.cpu)

    def fits(self, need: Amounts) -> bool:
        """Whether a task may start here now."""
        if need.cpu > self.cpu or need.memory > self.memory:
            return False
        if self.kept is not None and self.kept != need:
            return False
        if need.named and not self.has_named(need):
            return False
        return not (need.gpu or need.gpu_memory) or self.choose(need) is not None

    def has_named(self, need: Amounts) -> bool:
        """Whether what users named is here; a need of 0 is one of its mere presence."""
        has = self.named
        return all(has[n] >= amount if n in has else False for n, amount in need.named)

    def choose(self, need: Amounts) -> Grant | None:
        """Return the devices that a task would be given, the fullest that have room for it."""
        count = need.devices
        if count == 1:
            best: Room | None = None
            for room in self.rooms:
                if room.fits(need) and (
                    best is None or (room.gpu, room.memory) < (best.gpu, best.memory)
                ):
                    best = room
            return (best,) if best is not None else None
        found = [room for room in self.rooms if room.fits(need)]
        return tuple(found[:count]) if len(found) >= count else None

    def take(self, need: Amounts) -> Grant:
        """Take what a task needs; return the devices that it is given."""
        self.cpu -= need.cpu
        self.memory -= need.memory
        for name, amount in need.named:
            self.named[name] -= amount
        if not (need.gpu or need.gpu_memory):
            return NONE
        grant = self.choose(need)
        assert grant is not None, f"{self.name} has no device with room for {need}"
        for room in grant:
            gpu, memory = room.takes(need)
            room.gpu -= gpu
            room.memory -= memory
        return grant

    def give(self, need: Amounts, grant: Grant) -> None:
        """Take back what a task had."""
        self.cpu += need.cpu
        self.memory += need.memory
        for name, amount in need.named:
            self.named[name] += amount
        for room in grant:
            gpu, memory = room.takes(need)
            room.gpu += gpu
            room.memory += memory

    @property
    def free(self) -> Amounts:
        """What no task has taken."""
        gpu = sum(room.gpu for room in self.rooms)
        memory = sum(room.memory for room in self.rooms)
        return Amounts(self.cpu, gpu, memory, self.memory, tuple(sorted(self.named.items())))
