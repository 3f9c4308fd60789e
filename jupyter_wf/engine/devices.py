"""The GPUs of this machine: which of them this process sees, and which a task is to see."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from jupyter_wf.resources import UNSAID

VISIBLE = "CUDA_VISIBLE_DEVICES"


def seen() -> tuple[str, ...]:
    """Return the names of the devices that CUDA would use here: those listed, else all there are.

    They are numbers or UUIDs, as ``CUDA_VISIBLE_DEVICES`` has them. Without that variable and
    without the package nvidia-ml-py, none is seen.
    """
    listed = os.environ.get(VISIBLE)
    if listed is not None:
        return tuple([name.strip() for name in listed.split(",") if name.strip() not in ("", "-1")])
    nvml = _nvml()
    return tuple(map(str, range(nvml.nvmlDeviceGetCount()))) if nvml is not None else ()


def memory(name: str) -> int:
    """Return the megabytes of a device, or `UNSAID` if they can't be known."""
    nvml = _nvml()
    if nvml is None:
        return UNSAID
    try:
        if name.isdigit():
            handle = nvml.nvmlDeviceGetHandleByIndex(int(name))
        else:
            handle = nvml.nvmlDeviceGetHandleByUUID(name)
        return int(nvml.nvmlDeviceGetMemoryInfo(handle).total) // 10**6
    except nvml.NVMLError:
        return UNSAID


@cache
def _nvml() -> Any:
    """Return NVIDIA's management library, started, or None where there is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import pynvml
        except ImportError:
            return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return pynvml


@contextmanager
def only(names: Sequence[str]) -> Iterator[None]:
    """Let CUDA see these devices alone, if it has not been started in this process yet."""
    before = os.environ.get(VISIBLE)
    os.environ[VISIBLE] = ",".join(names)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(VISIBLE, None)
        else:
            os.environ[VISIBLE] = before
