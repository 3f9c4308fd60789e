"""The active workflow: where calls of task functions and the cells of a notebook go."""

from __future__ import annotations

import importlib
import threading
from typing import Any

from jupyter_wf.workflow import Workflow, entered

_default: list[Workflow] = []


def current() -> Workflow:
    """Return the active workflow: that of the enclosing ``with``, or one made at first use."""
    found = entered.get(None)
    if found is not None:
        return found
    if not _default or _default[0].closed:
        if not _default:
            # What `atexit` calls comes too late, when executors take no work any more. These
            # callbacks go backwards, so that of executors has to be registered before.
            importlib.import_module("concurrent.futures.thread")
            threading._register_atexit(_close_default)  # type: ignore[attr-defined]
        _default[:] = [Workflow()]
    return _default[0]


def _close_default() -> None:
    _default[0].close()


def connect(target: Any = None) -> Workflow:
    """Run the active workflow on other machines; see `Workflow.connect`."""
    flow = current()
    flow.connect(target)
    return flow
