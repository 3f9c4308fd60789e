"""A graph as text for Graphviz."""

from __future__ import annotations

from collections.abc import Mapping

from jupyter_wf.formats.looks import look
from jupyter_wf.graph import Graph


def to_dot(graph: Graph, states: Mapping[str, str] | None = None) -> str:
    """Write a graph in the DOT language: tasks as boxes, data as ellipses.

    Parameters
    ----------
    graph : Graph
    states : mapping, optional
        Name of the task → the state to show.

    Examples
    --------
    >>> from jupyter_wf.graph import Code, Task
    >>> code = Code("cell", "load", "X = 1", "f1")
    >>> print(to_dot(Graph.of([Task("load", code, outputs=(("X", "X"),))])), end="")
    digraph workflow {
      rankdir=LR;
      node [fontname="sans-serif"];
      t0 [shape=box, style=rounded, label="load"];
      d0 [shape=ellipse, label="X"];
      t0 -> d0;
    }
    """
    states = states or {}
    tasks = {name: f"t{number}" for number, name in enumerate(graph.order())}
    data = {name: f"d{number}" for number, name in enumerate(sorted(graph.data))}
    lines = ["digraph workflow {", "  rankdir=LR;", '  node [fontname="sans-serif"];']
    for name, node in tasks.items():
        state = states.get(name)
        label, colour = _escape(graph.short_names[name]), ""
        if state:
            label += f"\\n{look(state).mark} {_escape(state)}"
            colour = f', color="{look(state).light}"'
        lines.append(
            f'  {node} [shape=box, style=rounded{_tooltip(graph, name)}, label="{label}"{colour}];'
        )
    for name, node in data.items():
        label = _escape(graph.short_names[name])
        lines.append(f'  {node} [shape=ellipse{_tooltip(graph, name)}, label="{label}"];')
    for name, node in tasks.items():
        task = graph.tasks[name]
        lines += [f"  {data[d]} -> {node};" for d in dict.fromkeys(d for _, d in task.inputs)]
        lines += [f"  {node} -> {data[d]};" for _, d in task.outputs]
    return "\n".join([*lines, "}"]) + "\n"


def _tooltip(graph: Graph, name: str) -> str:
    """Return what tells a name that is written shorter than it is."""
    return "" if graph.short_names[name] == name else f', tooltip="{_escape(name)}"'


def _escape(text: str) -> str:
    """Return text for a quoted DOT string, where a backslash would start an escape."""
    return text.replace("\\", "\\\\").replace('"', '\\"')
