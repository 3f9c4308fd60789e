"""PymoniK's API on a Dask cluster: a PymoniK program runs with only its import changed.

See ``docs/pymonik.md`` for what maps to what.
"""

from __future__ import annotations

from jupyter_wf.pymonik.context import PymonikContext
from jupyter_wf.pymonik.files import Materialize, materialize
from jupyter_wf.pymonik.options import TaskOptions
from jupyter_wf.pymonik.results import MultiResultHandle, ResultHandle
from jupyter_wf.pymonik.session import Pymonik
from jupyter_wf.pymonik.task import Task, task

__all__ = [
    "Materialize",
    "MultiResultHandle",
    "Pymonik",
    "PymonikContext",
    "ResultHandle",
    "Task",
    "TaskOptions",
    "materialize",
    "task",
]
