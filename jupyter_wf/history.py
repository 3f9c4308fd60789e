"""The revisions of a graph and its keys, with one history of undo and redo."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from jupyter_wf.errors import WorkflowError
from jupyter_wf.fingerprint import Keys, graph_keys
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
    can be undone; graphs share structure, so that keeping them is cheap. Tasks that are appended in
    a loop enter the graph together, by `settle`, since that costs little more than for one.

    Examples
    --------
    >>> history = History()
    >>> history.record("add a", Graph())
    >>> history.undo(), history.revision
    ('add a', 2)
    """

    def __init__(self) -> None:
        self.graph = Graph()
        self._settled = 0
        self._keys = graph_keys(self.graph)
        self._before: deque[tuple[str, Graph | Part]] = deque(maxlen=STEPS)
        self._after: list[tuple[str, Graph]] = []
        # Tasks appended since, by name, with their keys; and the data they make: (key, output).
        self._appended: dict[str, tuple[Task, str]] = {}
        self._fresh: dict[str, tuple[str, str]] = {}

    @property
    def revision(self) -> int:
        """Number of the current graph, with what was appended."""
        return self._settled + len(self._appended)

    @property
    def keys(self) -> Keys:
        """Keys of the graph's tasks and data."""
        # One attribute, so that reading it needs no lock: a listener on any thread may ask.
        self._keys = keys = graph_keys(self.graph, self._keys)
        return keys

    def record(self, label: str, graph: Graph) -> None:
        """Make `graph` the current one by the operation `label`."""
        self._before.append((label, self.graph))
        self._after.clear()
        self._set(graph)

    def append(self, task: Task, key: str) -> None:
        """Add a task whose key is known by an operation of its own, unless it is there."""
        if task.name not in self._appended and task.name not in self.graph.tasks:
            self._appended[task.name] = (task, key)
            self._fresh.update((name, (key, output)) for output, name in task.outputs)

    def fresh(self, data: str) -> tuple[str, str] | None:
        """Return (task's key, output) of a data whose task has not entered the graph yet."""
        return self._fresh.get(data)

    @property
    def unsettled(self) -> bool:
        """Whether tasks were appended that have not entered the graph yet."""
        return bool(self._appended)

    def settle(self) -> str:
        """Let the tasks appended since enter the graph; return what that is called."""
        added = tuple(self._appended.values())
        tasks = tuple([task for task, _ in added])
        base, keys = self.graph, self.keys
        graph = base.with_tasks(tasks)
        labels = [f"invoke {task.name}" for task in tasks]
        self._before.extend((label, Part(base, tasks, i)) for i, label in enumerate(labels))
        self._after.clear()
        self._keys = keys.extended(graph, added)
        self.graph = graph
        self._settled += len(added)
        self._appended, self._fresh = {}, {}
        return labels[0] if len(labels) == 1 else f"invoke {len(labels)} tasks"

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
        self._settled += 1
