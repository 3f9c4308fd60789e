"""Which nodes of a graph people mean, and what they are told where there is none."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from jupyter_wf.errors import GraphError
from jupyter_wf.graph import Graph

#: Tasks that an error names, of many.
NAMED = 20


def whole(graph: Graph, name: str) -> str:
    """Return the name of a node that is written in short; any other as it is."""
    if name in graph.tasks or name in graph.data:
        return name
    return next((node for node, short in graph.short_names.items() if short == name), name)


def tasks_named(graph: Graph, names: Iterable[str]) -> tuple[str, ...]:
    """Return the tasks of these names, or that make the data of these names, each once.

    Data given from outside have none. Raises `GraphError` for what is neither, and for data that
    nothing makes any more.
    """
    found: dict[str, None] = {}
    for name in names:
        node = whole(graph, name)
        if node in graph.tasks:
            found[node] = None
        elif node not in graph.data or graph.data[node].orphan:
            raise no_task(graph, name)
        elif (producer := graph.data[node].producer) is not None:
            found[producer] = None
    return tuple(found)


def task_named(graph: Graph, name: str) -> str:
    """Return the task of this name, or that makes the data of it; raise `GraphError` if none."""
    found = tasks_named(graph, [name])
    if not found:
        raise no_task(graph, name)
    return found[0]


def origin(graph: Graph, data: str) -> str:
    """Say where data come from, and who reads them."""
    readers = ", ".join(graph.dependents(data)) or "no task"
    if graph.data[data].orphan:
        return f"nothing makes it any more; read by {readers}. Define a task for it."
    producer = graph.data[data].producer
    made = "given from outside" if producer is None else f"made by task {producer!r}"
    return f"{made}; read by {readers}"


def no_task(graph: Graph, name: str) -> GraphError:
    """Return the error that says what may have been meant by a name."""
    node = whole(graph, name)
    if node in graph.data:
        return GraphError(f"{node!r} is no task but data: {origin(graph, node)}")
    close = get_close_matches(name, [*graph.tasks, *graph.data], n=1)
    meant = f"; did you mean {close[0]!r}?" if close else "."
    known = ", ".join(sorted(graph.tasks)[:NAMED]) or "none yet"
    return GraphError(f"There is no task or data named {name!r}{meant} Tasks: {known}.")
