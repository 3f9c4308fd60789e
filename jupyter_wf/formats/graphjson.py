"""A graph as JSON for programs: sorted, one node a line, so that two versions compare well.

It tells structure, fingerprints, environments and requirements. It doesn't hold what a task needs
to run again, such as its code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from jupyter_wf.environment import Environment, variable_digest
from jupyter_wf.graph import Data, Graph, Task
from jupyter_wf.requirements import Requirements

_NOTHING_ASKED = asdict(Requirements())
_NOTHING_AROUND = asdict(Environment())


def to_json(graph: Graph, states: Mapping[str, str] | None = None) -> str:
    """Write a graph as JSON.

    Parameters
    ----------
    graph : Graph
    states : mapping, optional
        Name of the task → its state.

    Examples
    --------
    >>> from jupyter_wf.graph import Code, Task
    >>> code = Code("cell", "load", "X = 1", "f1")
    >>> print(to_json(Graph.of([Task("load", code, outputs=(("X", "X"),))])), end="")
    {
      "data": [
        {"name": "X", "producer": "load"}
      ],
      "tasks": [
        {"fingerprint": "f1", "inputs": {}, "kind": "cell", "name": "load", "outputs": {"X": "X"}}
      ]
    }
    """
    states = states or {}
    data = [_line(_data(graph.data[name])) for name in sorted(graph.data)]
    tasks = [_line(_task(graph.tasks[name], states.get(name))) for name in sorted(graph.tasks)]
    return f'{{\n  "data": {_list(data)},\n  "tasks": {_list(tasks)}\n}}\n'


def _data(data: Data) -> dict[str, Any]:
    found = {"name": data.name, "producer": data.producer, "content": data.content}
    return {key: value for key, value in found.items() if value is not None}


def _task(task: Task, state: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": task.name,
        "kind": task.code.kind,
        "fingerprint": task.code.fingerprint,
        "inputs": dict(task.inputs),
        "outputs": dict(task.outputs),
    }
    around = task.code.environment
    if around is not None:
        said = _unusual(asdict(around), _NOTHING_AROUND)
        if around.env:
            # Such a value may be a password, and drawings of graphs are shown around.
            said["env"] = {name: variable_digest(value) for name, value in around.env}
        found["environment"] = said
    asked = _unusual(asdict(task.requirements), _NOTHING_ASKED)
    if asked:
        found["requirements"] = asked
    if state is not None:
        found["state"] = state
    return found


def _unusual(said: dict[str, Any], usual: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in said.items() if value != usual[key]}


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _list(lines: list[str]) -> str:
    return "[\n    " + ",\n    ".join(lines) + "\n  ]" if lines else "[]"
