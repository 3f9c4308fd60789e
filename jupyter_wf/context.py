"""What a running task may know about itself: `wf.context()`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol

from jupyter_wf.errors import WorkflowError


def _nowhere(done: float, total: float, note: str) -> None:
    """Take the progress of a task that nobody watches."""


class Spawner(Protocol):
    """Takes the tasks that a running task adds; handles belong to it."""

    def append(self, task: Any, key: str, inputs: tuple[tuple[str, str], ...]) -> None:
        """Add a task of this key, which reads (slot, key of the data)."""

    def give(self, value: Any) -> str:
        """Keep a value for tasks that will read it; return the name of its data."""


@dataclass(frozen=True, slots=True)
class TaskContext:
    """The running task.

    Parameters
    ----------
    name : str
        The task's name.
    attempt : int
        1 for the first attempt.
    partition : str or None
        The partition it was asked to run in.
    gpus : tuple of str
        The devices that it was given, as CUDA_VISIBLE_DEVICES names them. Where a worker process
        runs one task at a time, that variable names just these while the task runs; the threads of
        one process share what CUDA they have started, so there the task must choose the device.
    report : callable
        Takes (done, total, note); called by `progress`.
    family : Spawner or None
        What `invoke` adds tasks to.
    """

    name: str
    attempt: int = 1
    partition: str | None = None
    gpus: tuple[str, ...] = ()
    report: Callable[[float, float, str], None] = field(default=_nowhere, repr=False)
    family: Spawner | None = field(default=None, repr=False)

    @property
    def logger(self) -> logging.Logger:
        """A logger whose records appear on the task's card."""
        return logging.getLogger("jupyter_wf.task")

    def progress(self, done: float, total: float = 0, note: str = "") -> None:
        """Show on the task's card that `done` of `total` steps are done (total 0: unknown)."""
        self.report(float(done), float(total), note)


current: ContextVar[TaskContext] = ContextVar("jupyter_wf_task")


def context() -> TaskContext:
    """Return the context of the running task; raise `WorkflowError` outside one.

    Examples
    --------
    >>> token = current.set(TaskContext("demo"))
    >>> context().name
    'demo'
    >>> current.reset(token)
    """
    try:
        return current.get()
    except LookupError:
        raise WorkflowError("wf.context() works inside a running task only.") from None
