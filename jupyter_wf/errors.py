"""Every error this package raises on purpose: what happened, to which thing, what to do next."""

from __future__ import annotations


class WorkflowError(Exception):
    """Base of all errors raised by jupyter_wf."""


class GraphError(WorkflowError):
    """An edit would make the graph invalid."""


class CycleError(GraphError):
    """Tasks would depend on themselves."""


class DoubleProducerError(GraphError):
    """Two tasks would produce the same data."""


class MissingInputError(GraphError):
    """A task would read data that is not in the graph."""


class CaptureError(WorkflowError):
    """A cell or function can't be made into a task."""


class FingerprintError(CaptureError):
    """Something a task uses has no stable identity."""


class StoreError(WorkflowError):
    """The store could not do what was asked."""


class MissingValueError(StoreError):
    """The store does not hold this value."""


class CorruptValueError(StoreError):
    """Stored bytes do not have the hash they were committed under."""


class EngineError(WorkflowError):
    """The engine could not do what was asked."""


class PackageError(EngineError):
    """The packages of an environment could not be found or installed; has the installer's words."""


class TaskError(WorkflowError):
    """A task failed; carries the traceback from where it ran.

    Parameters
    ----------
    task : str
        Name of the task that failed.
    message : str
        What the task raised, as ``Type: text``.
    traceback : str
        The traceback as text, its frames pointing to the user's own lines.
    """

    def __init__(self, task: str, message: str, traceback: str = "") -> None:
        super().__init__(f"Task {task!r} failed: {message}")
        self.task = task
        self.message = message
        self.traceback = traceback

    def __reduce__(self) -> tuple[type[TaskError], tuple[str, str, str]]:
        return (TaskError, (self.task, self.message, self.traceback))

    def __str__(self) -> str:
        head = super().__str__()
        return f"{head}\n\n{self.traceback}" if self.traceback else head


class TaskCancelledError(WorkflowError):
    """A value was asked for whose task was cancelled."""


class NotComputedError(WorkflowError):
    """A value was asked for while nothing may be computed (as under ``jupyter wf plan``)."""
