"""A graph as Mermaid text, which GitHub and many editors draw."""

from __future__ import annotations

from collections.abc import Mapping

from jupyter_wf.formats.looks import LOOKS, look
from jupyter_wf.graph import Graph


def to_mermaid(graph: Graph, states: Mapping[str, str] | None = None) -> str:
    """Write a graph as a Mermaid flow chart: tasks as boxes, data as rounded boxes.

    Parameters
    ----------
    graph : Graph
    states : mapping, optional
        Name of the task → the state to show.

    Examples
    --------
    >>> from jupyter_wf.graph import Code, Task
    >>> code = Code("cell", "load", "X = 1", "f1")
    >>> print(to_mermaid(Graph.of([Task("load", code, outputs=(("X", "X"),))])), end="")
    flowchart LR
      t0["load"]
      d0(["X"])
      t0 --> d0
    """
    states = states or {}
    tasks = {name: f"t{number}" for number, name in enumerate(graph.order())}
    data = {name: f"d{number}" for number, name in enumerate(sorted(graph.data))}
    lines = ["flowchart LR"]
    for name, node in tasks.items():
        state = states.get(name)
        label = _escape(graph.short_names[name])
        if state:
            label = f"{look(state).mark} {label}<br/>{_escape(state)}"
        lines.append(f'  {node}["{label}"]')
    for name, node in data.items():
        lines.append(f'  {node}(["{_escape(graph.short_names[name])}"])')
    for name, node in tasks.items():
        task = graph.tasks[name]
        lines += [f"  {data[d]} --> {node}" for d in dict.fromkeys(d for _, d in task.inputs)]
        lines += [f"  {node} --> {data[d]}" for _, d in task.outputs]
    for state in (s for s in LOOKS if s in set(states.values())):
        nodes = [node for name, node in tasks.items() if states.get(name) == state]
        if nodes:
            lines.append(f"  classDef {state} stroke:{look(state).light},stroke-width:2px")
            lines.append(f"  class {','.join(nodes)} {state}")
    return "\n".join(lines) + "\n"


def _escape(text: str) -> str:
    """Write all but letters, digits and a few harmless signs as numeric entities."""
    return "".join(c if c.isalnum() or c in " _-.,()" else f"#{ord(c)};" for c in text)
