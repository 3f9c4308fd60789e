"""What workers offer and tasks need, as integers; and what is missing where no worker will do.

Integers, because sums of fractions drift until a whole device is never free: thousandths of cores,
of devices and of what users name, and megabytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from jupyter_wf.errors import EngineError
from jupyter_wf.requirements import Requirements, megabytes

#: Megabytes of a worker, or of a device, that says nothing of its memory.
UNSAID = 10**9
WHOLE = 1000


class Amounts(NamedTuple):
    """What a task needs, or a worker has free.

    Parameters
    ----------
    cpu : int
        Thousandths of a core.
    gpu : int
        Thousandths of one device, or whole devices from 1000 on.
    gpu_memory : int
        Megabytes on each device.
    memory : int
        Megabytes.
    named : tuple of (str, int)
        Thousandths of what users named, sorted; 0 asks that there be some, and takes nothing.
    """

    cpu: int = WHOLE
    gpu: int = 0
    gpu_memory: int = 0
    memory: int = 0
    named: tuple[tuple[str, int], ...] = ()

    @property
    def devices(self) -> int:
        """On how many devices a task with this need runs."""
        return max(self.gpu // WHOLE, 1) if self.gpu or self.gpu_memory else 0


class Device(NamedTuple):
    """A GPU: `id` is unique among all workers, `name` is what CUDA_VISIBLE_DEVICES calls it."""

    id: str
    name: str
    memory: int = UNSAID


class Offer(NamedTuple):
    """All that a worker has; units as in `Amounts`."""

    cpu: int = WHOLE
    devices: tuple[Device, ...] = ()
    memory: int = UNSAID
    named: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker as its engine tells of it.

    Parameters
    ----------
    name : str
    partition : str or None
    offer : Offer
    free : Amounts
        What no task has taken; of devices, the sums.
    devices : tuple of int
        Thousandths that are free of each device.
    """

    name: str
    partition: str | None
    offer: Offer
    free: Amounts
    devices: tuple[int, ...] = ()


def idle(name: str, partition: str | None, offer: Offer) -> Worker:
    """Return a worker of which nothing is taken."""
    return Worker(name, partition, offer, all_of(offer), (WHOLE,) * len(offer.devices))


def need_of(asked: Requirements) -> Amounts:
    """Return what a task takes of the worker that runs it."""
    return Amounts(asked.cpu, asked.gpu, asked.gpu_memory, asked.memory, asked.resources)


def all_of(offer: Offer) -> Amounts:
    """Return what is free where nothing is taken."""
    memory = sum(device.memory for device in offer.devices)
    return Amounts(offer.cpu, WHOLE * len(offer.devices), memory, offer.memory, offer.named)


#: What a user says that workers have: see `offer_of`.
Words = Mapping[str, float | str]


def offer_of(words: Words, worker: str) -> Offer:
    """Return the offer that a user describes.

    Parameters
    ----------
    words : mapping
        ``workers`` (threads, each of a core), ``gpu`` (devices), ``gpu_memory`` (of each) and
        ``memory`` in megabytes or as ``"4GiB"``; any other word names a resource.
    worker : str
        Its name, which makes those of its devices unique.

    Examples
    --------
    >>> offer = offer_of({"workers": 2, "gpu": 1, "memory": "4GB", "license": 3}, "w")
    >>> offer.cpu, len(offer.devices), offer.memory, offer.named
    (2000, 1, 4000, (('license', 3000),))
    """
    named = {name: float(words[name]) for name in words if name not in KNOWN}
    memory, on_device = _size(words.get("memory", UNSAID)), _size(words.get("gpu_memory", UNSAID))
    count = float(words.get("gpu", 0))
    if count != int(count):
        raise EngineError(f"{worker} can't have {count:g} devices. Give a whole number.")
    return Offer(
        WHOLE * int(words.get("workers", 1)),
        tuple([Device(f"{worker}/{i}", str(i), on_device) for i in range(int(count))]),
        memory,
        tuple(sorted((name, round(WHOLE * amount)) for name, amount in named.items())),
    )


KNOWN = frozenset({"workers", "gpu", "gpu_memory", "memory"})


def _size(value: float | str) -> int:
    return megabytes(value) if isinstance(value, str) else int(value)


# -- whether, and why not --------------------------------------------------------------------------


def serves(offer: Offer, need: Amounts) -> bool:
    """Whether a worker that is idle could run a task; one with fewer cores runs it on all."""
    return not any(short(offer, need) for _, short, _ in KINDS)


def lacking(
    partition: str | None, need: Amounts, workers: Sequence[Worker], pooled: bool = False
) -> str:
    """Say what a task asks for that no worker has; an empty string if one could serve it.

    Where no worker is, it can't be said. Where none declares a partition, or did when it was here
    (`pooled`), each serves any.

    Examples
    --------
    >>> has = [Worker("w", "gpu", offer_of({"gpu": 1}, "w"), Amounts())]
    >>> lacking("gpu", Amounts(gpu=2000), has)
    "asks for 2 gpus; the workers of partition 'gpu' have at most 1 each (1 worker)"
    >>> lacking("tpu", Amounts(), has)
    "asks for partition 'tpu'; there is 'gpu'"
    """
    if not workers:
        return ""
    partitions = sorted({worker.partition for worker in workers if worker.partition})
    chosen, where = workers, "the workers"
    if partition is not None and (partitions or pooled):
        chosen = [worker for worker in workers if worker.partition == partition]
        where = f"the workers of partition {partition!r}"
        if not chosen:
            others = ", ".join(map(repr, partitions)) or "none"
            verb = "are" if len(partitions) > 1 else "is"
            return f"asks for partition {partition!r}; there {verb} {others}"
    if any(serves(worker.offer, need) for worker in chosen):
        return ""
    offers = [worker.offer for worker in chosen]
    count = f"{len(chosen)} worker{'s' if len(chosen) > 1 else ''}"
    for wants, short, has in KINDS:
        if all(short(offer, need) for offer in offers):
            return f"asks for {wants(need)}; {where} have {has(need, offers)} ({count})"
    wanted = " and ".join(
        wants(need) for wants, short, _ in KINDS if any(short(o, need) for o in offers)
    )
    return f"asks for {wanted} at once, which none of {where} has together ({count})"


def _short_of_devices(offer: Offer, need: Amounts) -> bool:
    return len(offer.devices) < need.devices


def _devices_wanted(need: Amounts) -> str:
    number = need.gpu / WHOLE if need.gpu else 1
    return f"{number:g} gpu{'s' if number > 1 else ''}"


def _devices_had(_: Amounts, offers: Iterable[Offer]) -> str:
    most = max(len(offer.devices) for offer in offers)
    return f"at most {most} each" if most else "none"


def _short_of_device_memory(offer: Offer, need: Amounts) -> bool:
    enough = sum(1 for device in offer.devices if device.memory >= need.gpu_memory)
    return bool(need.gpu_memory) and enough < need.devices


def _short_of_memory(offer: Offer, need: Amounts) -> bool:
    return offer.memory < need.memory


def _missing_names(offer: Offer, need: Amounts) -> list[tuple[str, int]]:
    has = dict(offer.named)
    return [(name, amount) for name, amount in need.named if has.get(name, 0) < max(amount, 1)]


def _short_of_named(offer: Offer, need: Amounts) -> bool:
    return bool(need.named) and bool(_missing_names(offer, need))


def _named_wanted(need: Amounts) -> str:
    return ", ".join(
        f"{amount / WHOLE:g} {name}" if amount else name for name, amount in need.named
    )


def _named_had(need: Amounts, offers: Iterable[Offer]) -> str:
    most: dict[str, int] = {name: 0 for name, _ in need.named}
    for offer in offers:
        for name, amount in offer.named:
            if name in most:
                most[name] = max(most[name], amount)
    some = ", ".join(f"{amount / WHOLE:g} {name}" for name, amount in most.items() if amount)
    return f"at most {some} each" if some else "none"


#: Of each kind of resource: how a need is told, whether an offer is short of it, and what is there.
KINDS: tuple[
    tuple[
        Callable[[Amounts], str],
        Callable[[Offer, Amounts], bool],
        Callable[[Amounts, list[Offer]], str],
    ],
    ...,
] = (
    (_devices_wanted, _short_of_devices, _devices_had),
    (
        lambda need: f"{need.gpu_memory:,} MB of gpu memory",
        _short_of_device_memory,
        lambda _, offers: f"at most {max(d.memory for o in offers for d in o.devices):,} MB each",
    ),
    (
        lambda need: f"{need.memory:,} MB of memory",
        _short_of_memory,
        lambda _, offers: f"at most {max(o.memory for o in offers):,} MB each",
    ),
    (_named_wanted, _short_of_named, _named_had),
)
