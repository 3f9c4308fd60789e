"""What tests of tasks in environments share."""

from __future__ import annotations

import os
from typing import Any

import psutil

from jupyter_wf.engine.testing import wait_until
from jupyter_wf.events import Event

OLD, NEW = {"pip": ["tiny<2"]}, {"pip": ["tiny>=2"]}


def version() -> tuple[int, int]:
    import tiny

    return tiny.version, os.getpid()


def of(flow: Any, kind: type[Event]) -> list[Any]:
    flow.engine.flush()
    return [event for event in flow.events if isinstance(event, kind)]


def ended(pid: int) -> None:
    """Wait until a process is gone, or at least dead."""

    def gone() -> bool:
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    wait_until(gone, f"process {pid} is gone")
