"""What a task asks of the worker that runs it: as people write it, and in integers."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jupyter_wf.errors import CaptureError

#: Classes of exceptions, or their names.
Kinds = str | type[BaseException] | Sequence[str | type[BaseException]]
UNITS = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
BINARY = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
OPTIONS = frozenset({"cpu", "cpus", "gpu", "gpu_memory", "memory", "partition", "workers"})
SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)(b?)\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a task asks of the worker that runs it; never part of its identity.

    Parameters
    ----------
    partition : str or None
        Name of a class of workers; None takes any.
    cpu, gpu : int
        Thousandths of a core and of a device; more than one device only as a whole.
    memory, gpu_memory : int
        Megabytes (10**6 bytes) reserved on the worker, and on each device.
    resources : tuple of (str, int)
        Thousandths of what users named, sorted; 0 asks that there be some, and takes nothing.
    retries : int
        How often a failed attempt is repeated.
    timeout : float or None
        Seconds after which an attempt is stopped.
    cache : bool
        Whether a stored result may stand in for a run.
    priority : int
        Of the tasks that are ready, those with a higher one start first.
    retry_delay : float
        Seconds until the first repetition; each further one waits about twice as long.
    retry_on, no_retry_on : tuple of str
        Names of the exceptions after which an attempt is repeated (none: all), and is not.
    """

    partition: str | None = None
    cpu: int = 1000
    gpu: int = 0
    memory: int = 0
    retries: int = 0
    timeout: float | None = None
    cache: bool = True
    priority: int = 0
    retry_delay: float = 0.1
    retry_on: tuple[str, ...] = ()
    no_retry_on: tuple[str, ...] = ()
    gpu_memory: int = 0
    resources: tuple[tuple[str, int], ...] = ()

    @property
    def choosy(self) -> bool:
        """Whether there may be workers that can't serve it."""
        return bool(self.partition or self.gpu or self.memory or self.gpu_memory or self.resources)


def megabytes(size: str | int) -> int:
    """Return a size as megabytes (10**6 bytes), rounded up.

    Parameters
    ----------
    size : str or int
        Such as ``"4GiB"`` or ``"500 MB"``; an integer is bytes.

    Examples
    --------
    >>> megabytes("4GiB"), megabytes("500MB"), megabytes(1)
    (4295, 500, 1)
    """
    match = SIZE.fullmatch(str(size))
    if match is None:
        raise CaptureError(f"{size!r} is not a size of memory. Write it as in '4GiB' or '500MB'.")
    number, prefix, binary, _ = match.groups()
    factor = (BINARY if binary else UNITS)[prefix.lower()]
    return math.ceil(float(number) * factor / 1e6)


def requirements(
    *,
    partition: str | None = None,
    cpus: float = 1,
    gpu: float = 0,
    memory: str | int = 0,
    gpu_memory: str | int = 0,
    resources: Mapping[str, float] | None = None,
    retries: int = 0,
    timeout: float | None = None,
    cache: bool = True,
    priority: int = 0,
    retry_delay: float = 0.1,
    retry_on: Kinds = (),
    no_retry_on: Kinds = (),
) -> Requirements:
    """Check what was asked for and return it in thousandths and megabytes.

    Parameters
    ----------
    partition : str or None
        Name of a class of workers.
    cpus : float
        Cores, fractions allowed. A worker with fewer gives all that it has.
    gpu : float
        A fraction of one device, or a whole number of devices that nobody else uses meanwhile.
    memory, gpu_memory : str or int
        Of the worker, and of each device, such as ``"4GiB"``; an integer is bytes.
    resources : mapping, optional
        Amounts of what workers offer under a name of your own, such as ``{"license": 1}``. True
        asks for a worker that has any of it, and takes nothing.
    retries : int
        How often a failed attempt is repeated.
    timeout : float or None
        Seconds after which an attempt is stopped.
    cache : bool
        Whether a stored result may stand in for a run.
    priority : int
        Of the tasks that are ready, those with a higher one start first.
    retry_delay : float
        Seconds until the first repetition; each further one waits about twice as long, up to a
        minute.
    retry_on, no_retry_on : exception class, its name, or a sequence of them
        After which exceptions, subclasses included, an attempt is repeated (none given: all), and
        after which it is not.

    Examples
    --------
    >>> requirements(gpu=0.2, memory="1GB").gpu
    200
    """
    for name, value, least in (
        ("cpus", cpus, 0.001),
        ("gpu", gpu, 0),
        ("retries", retries, 0),
        ("retry_delay", retry_delay, 0),
    ):
        if not value >= least:
            raise CaptureError(f"{name} must be at least {least}, not {value}.")
    if timeout is not None and not timeout > 0:
        raise CaptureError(f"timeout must be more than 0 seconds, not {timeout}.")
    if gpu > 1 and gpu != int(gpu):
        raise CaptureError(
            f"gpu is a fraction of one device or a whole number of devices, not {gpu}."
        )
    if not isinstance(priority, int):
        raise CaptureError(f"priority must be an integer, not {priority!r}; higher starts first.")
    return Requirements(
        partition=partition,
        cpu=round(cpus * 1000),
        gpu=round(gpu * 1000),
        memory=megabytes(memory),
        retries=retries,
        timeout=timeout,
        cache=cache,
        priority=priority,
        retry_delay=float(retry_delay),
        retry_on=_kinds("retry_on", retry_on),
        no_retry_on=_kinds("no_retry_on", no_retry_on),
        gpu_memory=megabytes(gpu_memory),
        resources=tuple(sorted(_named(name, n) for name, n in (resources or {}).items())),
    )


def _named(name: str, amount: float) -> tuple[str, int]:
    """Check a resource that the user named; return thousandths of it, 0 for a mere presence."""
    if name in OPTIONS:
        raise CaptureError(f"{name!r} is an option of its own: write {name}=…, not resources.")
    if not isinstance(name, str) or not name or not name.isprintable() or set(name) & set("=, "):
        raise CaptureError(f"{name!r} can't name a resource. Use a word, such as 'license'.")
    if amount is True:
        return name, 0
    if not isinstance(amount, int | float) or not amount >= 0.001:
        raise CaptureError(
            f"resources[{name!r}] must be an amount of at least 0.001, or True, not {amount!r}."
        )
    return name, round(amount * 1000)


def _kinds(option: str, given: Kinds) -> tuple[str, ...]:
    """Return the names of exceptions: those of classes with their module, text as it stands."""
    found = []
    for kind in given if isinstance(given, Sequence) and not isinstance(given, str) else (given,):
        if isinstance(kind, type) and issubclass(kind, BaseException):
            found.append(kind_name(kind))
        elif isinstance(kind, str) and all(part.isidentifier() for part in kind.split(".")):
            found.append(kind)
        else:
            raise CaptureError(
                f"{option} takes exceptions, such as ConnectionError or 'ConnectionError', "
                f"not {kind!r}."
            )
    return tuple(found)


def kinds_of(error: type[BaseException]) -> tuple[str, ...]:
    """Return the names of an exception's class and of what it derives from.

    Examples
    --------
    >>> kinds_of(ConnectionResetError)[:3]
    ('ConnectionResetError', 'ConnectionError', 'OSError')
    """
    return tuple([kind_name(cls) for cls in error.__mro__ if cls is not object])


def kind_name(cls: type) -> str:
    """Return the name under which a class of exceptions is looked for.

    Examples
    --------
    >>> import subprocess
    >>> kind_name(OSError), kind_name(subprocess.TimeoutExpired)
    ('OSError', 'subprocess.TimeoutExpired')
    """
    name = cls.__qualname__
    return name if cls.__module__ == "builtins" else f"{cls.__module__}.{name}"
