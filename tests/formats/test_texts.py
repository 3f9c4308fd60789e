"""Mermaid, DOT and JSON: deterministic text that hostile names can't break out of."""

from __future__ import annotations

import json
import re
from dataclasses import replace

from fields import any_of
from hypothesis import given

from jupyter_wf.environment import Environment, variable_digest
from jupyter_wf.formats.dot import to_dot
from jupyter_wf.formats.graphjson import to_json
from jupyter_wf.formats.mermaid import to_mermaid
from jupyter_wf.graph import Graph
from jupyter_wf.requirements import Requirements

from .graphs import CALLS, HOSTILE, calls, diamond, graphs, hostile, task

NODE = re.compile(r'  [td]\d+(\["[^"<>;]*(?:(?:#\d+;|<br/>)[^"<>;]*)*"\]|\(\["[^"<>]*"\]\))')
WIRE = re.compile(r"  [td]\d+ --> [td]\d+")
QUOTED = r'"(?:[^"\\]|\\.)*"'
DOT = re.compile(rf"  ([td]\d+ \[[a-z]+=.*label={QUOTED}(, color={QUOTED})?\]|[td]\d+ -> [td]\d+);")


def test_mermaid_of_a_diamond():
    text = to_mermaid(diamond(), {"load": "stored", "join": "running"})
    assert '"✔ load<br/>stored"' in text
    assert text.count(" --> ") == 12
    assert "\n  class t3 running\n" in text


def test_dot_of_a_diamond():
    text = to_dot(diamond(), {"load": "stored"})
    assert 'label="load\\n✔ stored"' in text
    assert text.count(" -> ") == 12


@given(graphs())
def test_mermaid_holds_nothing_but_nodes_and_wires(graph):
    head, *lines = to_mermaid(graph).splitlines()
    assert head == "flowchart LR"
    assert [line for line in lines if not (NODE.fullmatch(line) or WIRE.fullmatch(line))] == []


@given(graphs())
def test_dot_holds_nothing_but_nodes_and_wires(graph):
    lines = to_dot(graph).splitlines()
    assert [line for line in lines[3:-1] if not DOT.fullmatch(line)] == []
    assert lines[-1] == "}"


def test_calls_are_written_in_short():
    mermaid, dot = to_mermaid(calls()), to_dot(calls())
    for short, name in zip(("fit-25d57", "fit-25d51", "load"), CALLS, strict=True):
        assert f'["{short}"]' in mermaid
        assert f'(["{short}"])' in mermaid
        assert dot.count(f'tooltip="{name}", label="{short}"];') == 2
        assert f'"name": "{name}"' in to_json(calls())


def test_hostile_names_stay_labels():
    assert "<script" not in to_mermaid(hostile())
    assert '=x onerror="' not in to_dot(hostile())
    assert HOSTILE in {task["name"] for task in json.loads(to_json(hostile()))["tasks"]}


@given(graphs())
def test_json_tells_the_structure(graph):
    found = json.loads(to_json(graph))
    assert {t["name"]: t["inputs"] for t in found["tasks"]} == {
        name: dict(task.inputs) for name, task in graph.tasks.items()
    }
    assert {d["name"]: d.get("producer") for d in found["data"]} == {
        name: data.producer for name, data in graph.data.items()
    }


@given(any_of(Requirements))
def test_json_tells_all_that_a_task_asks_for(asked):
    (found,) = json.loads(to_json(Graph.of([replace(task("a"), requirements=asked)])))["tasks"]
    assert Requirements(**_tuples(found.get("requirements", {}))) == asked


@given(any_of(Environment))
def test_json_tells_the_environment_and_no_value_of_a_variable(around):
    around = replace(around, env=tuple(sorted(dict(around.env).items())))
    code = replace(task("a").code, environment=around)
    (found,) = json.loads(to_json(Graph.of([replace(task("a"), code=code)])))["tasks"]
    told = _tuples(found["environment"])
    told["env"] = tuple(told.get("env", {}).items())
    hidden = tuple((name, variable_digest(value)) for name, value in around.env)
    assert Environment(**told) == replace(around, env=hidden)


def _tuples(value):
    if isinstance(value, list):
        return tuple(map(_tuples, value))
    return {k: _tuples(v) for k, v in value.items()} if isinstance(value, dict) else value


def test_json_has_one_node_a_line_in_order_of_name():
    tasks = [task("b"), task("a")]
    lines = to_json(Graph.of(tasks)).splitlines()
    assert [json.loads(line.rstrip(","))["name"] for line in lines if "kind" in line] == ["a", "b"]
    assert to_json(Graph.of(tasks)) == to_json(Graph.of(tasks[::-1]))
