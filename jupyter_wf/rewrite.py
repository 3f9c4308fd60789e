"""Pure functions from a graph to a graph."""

from __future__ import annotations

from collections.abc import Iterable

from jupyter_wf.graph import Graph


def cull(graph: Graph, tasks: Iterable[str]) -> Graph:
    """Keep only `tasks`, what they need, and the data that these read or make."""
    targets = frozenset(tasks)
    kept = [graph.tasks[name] for name in graph.ancestors(targets) | targets]
    read = {name for task in kept for _, name in task.inputs}
    given = [graph.data[name] for name in read if graph.data[name].producer is None]
    return Graph.of(kept, given)
