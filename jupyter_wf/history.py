"""The revisions of a graph, with one history of undo and redo."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from jupyter_wf.errors import WorkflowError
from jupyter_wf.graph import Graph, Task

STEPS = 1000


@dataclass(frozen=True, slots=True)
class Part:
    """The graph `base` with the first `count` of `tasks` added, made when it is asked for."""

    base: Graph
    tasks: tuple[Task, ...]
    count: int


class History:
    """The current graph, and the ones before and after it.

    Every change, undo and redo included, gets the next revision number. The newest 1,000 operations
    can be undone; graphs share structure, so that keeping them is cheap.

    Examples
    --------
    >>> history = History()
    >>> history.record("add a", Graph())
    >>> history.undo(), history.revision
    ('add a', 2)
    """

    def __init__(self) -> None:
        self.graph = Graph()
        self.revision = 0
        self._before: deque[tuple[str, Graph | Part]] = deque(maxlen=STEPS)
        self._after: list[tuple[str, Graph]] = []

    def record(self, label: str, graph: Graph) -> None:
        """Make `graph` the current one by the operation `label`."""
        self._before.append((label, self.graph))
        self._after.clear()
        self._set(graph)

    def record_each(self, labels: Sequence[str], tasks: Sequence[Task]) -> None:
        """Add tasks, each by an operation of its own that can be undone by itself."""
        base, added = self.graph, tuple(tasks)
        graph = base.with_tasks(added)
        self._before.extend((label, Part(base, added, i)) for i, label in enumerate(labels))
        self._after.clear()
        self.graph = graph
        self.revision += len(added)

    def undo(self) -> str:
        """Go back by one operation and return its label."""
        if not self._before:
            raise WorkflowError("There is nothing to undo.")
        label, before = self._before.pop()
        self._after.append((label, self.graph))
        if isinstance(before, Part):
            before = before.base.with_tasks(before.tasks[: before.count])
        self._set(before)
        return label

    def redo(self) -> str:
        """Do again what was undone last and return its label."""
        if not self._after:
            raise WorkflowError("There is nothing to redo.")
        label, graph = self._after.pop()
        self._before.append((label, self.graph))
        self._set(graph)
        return label

    def _set(self, graph: Graph) -> None:
        self.graph = graph
        self.revision += 1
