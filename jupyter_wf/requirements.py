"""What people write of a task's needs, turned into integers."""

from __future__ import annotations

import math
import re

from jupyter_wf.errors import CaptureError
from jupyter_wf.graph import Requirements

UNITS = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
BINARY = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)(b?)\s*", re.IGNORECASE)


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
    retries: int = 0,
    timeout: float | None = None,
    cache: bool = True,
    priority: int = 0,
) -> Requirements:
    """Check what was asked for and return it in thousandths and megabytes.

    Parameters
    ----------
    partition : str or None
        Name of a class of workers.
    cpus, gpu : float
        Cores and devices, fractions allowed.
    memory : str or int
        Such as ``"4GiB"``; an integer is bytes.
    retries : int
        How often a failed attempt is repeated.
    timeout : float or None
        Seconds after which an attempt is stopped.
    cache : bool
        Whether a stored result may stand in for a run.
    priority : int
        Of the tasks that are ready, those with a higher one start first.

    Examples
    --------
    >>> requirements(gpu=0.2, memory="1GB").gpu
    200
    """
    for name, value, least in (("cpus", cpus, 0.001), ("gpu", gpu, 0), ("retries", retries, 0)):
        if not value >= least:
            raise CaptureError(f"{name} must be at least {least}, not {value}.")
    if timeout is not None and not timeout > 0:
        raise CaptureError(f"timeout must be more than 0 seconds, not {timeout}.")
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
    )
