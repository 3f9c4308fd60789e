"""Pure functions from a graph to a graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from jupyter_wf.graph import Data, Graph, Task


def cull(graph: Graph, tasks: Iterable[str]) -> Graph:
    """Keep only `tasks`, what they need, and the data that these read or make."""
    targets = frozenset(tasks)
    kept = [graph.tasks[name] for name in graph.ancestors(targets) | targets]
    read = {name for task in kept for _, name in task.inputs}
    given = [graph.data[name] for name in read if graph.data[name].producer is None]
    return Graph.of(kept, given)


def define(graph: Graph, task: Task, given: Mapping[str, str]) -> Graph:
    """Put a task in the place of the one of its name, and of those that its cell defined before.

    Parameters
    ----------
    graph : Graph
    task : Task
    given : mapping of str to str
        Content ids of values from outside that it reads, by name of the data. Those that only the
        tasks before it read go; a task may make what was given before.

    Raises
    ------
    GraphError
        One of its kinds, which names the nodes at fault.
    """
    stale = [
        old.name
        for old in graph.tasks.values()
        if task.cell is not None and old.cell == task.cell and old.name != task.name
    ]
    before = [graph.tasks[name] for name in (*stale, task.name) if name in graph.tasks]
    read = {name for old in before for _, name in old.inputs}
    for name in stale:
        graph = graph.without_task(name)
    for _, name in task.outputs:
        if _is_given(graph, name):
            graph = graph.without_data(name)
    for name, content in given.items():
        graph = graph.with_data(Data(name, content=content))
    graph = graph.with_task(task)
    for name in read:
        if _is_given(graph, name) and not graph.dependents(name):
            graph = graph.without_data(name)
    return graph


def _is_given(graph: Graph, data: str) -> bool:
    return data in graph.data and graph.data[data].content is not None
