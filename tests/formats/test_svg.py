from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given

from jupyter_wf.formats.drawing import draw, shortened, text_width
from jupyter_wf.formats.looks import LOOKS
from jupyter_wf.formats.svg import summary, to_svg
from jupyter_wf.graph import Data, Graph

from .graphs import CALLS, calls, diamond, graphs, hostile, task

SVG = "{http://www.w3.org/2000/svg}"
KNOWN = {"svg", "title", "style", "rect", "path", "g", "text", "circle"}


def parse(text: str) -> ET.Element:
    return ET.fromstring(text)


@given(graphs())
def test_any_graph_is_well_formed_and_complete(graph):
    root = parse(to_svg(graph))
    shown = [node.get("data-task") for node in root.iter(f"{SVG}g") if node.get("data-task")]
    assert sorted(shown) == sorted(graph.tasks)
    reads = sum(len({d for _, d in t.inputs}) for t in graph.tasks.values())
    assert len([p for p in root.iter(f"{SVG}path") if p.get("class") == "wf-wire"]) == reads


@pytest.mark.parametrize("make", [hostile, diamond])
def test_nothing_is_loaded_or_run(make):
    root = parse(to_svg(make(), dict.fromkeys(make().tasks, "running")))
    for node in root.iter():
        assert node.tag.removeprefix(SVG) in KNOWN
        assert not [key for key in node.attrib if key.startswith("on") or "href" in key]
    (style,) = root.iter(f"{SVG}style")
    assert "url(" not in style.text
    assert "@import" not in style.text


@pytest.mark.parametrize("state", LOOKS)
def test_a_state_is_icon_word_and_colour(state):
    root = parse(to_svg(Graph.of([task("a")]), {"a": state}))
    (node,) = [g for g in root.iter(f"{SVG}g") if g.get("data-task") == "a"]
    assert node.get("data-state") == state
    icon = next(p for p in node.iter(f"{SVG}path") if p.get("class") == "wf-icon")
    assert icon.get("d") == LOOKS[state].icon
    assert state in [t.text for t in node.iter(f"{SVG}text")]
    assert f"[data-state={state}]{{--wf-tone:var({LOOKS[state].variable}" in to_svg(Graph())


def test_icons_are_all_different():
    assert len({one.icon for one in LOOKS.values()}) == len(LOOKS)
    assert len({one.mark for one in LOOKS.values()}) == len(LOOKS)


def test_a_screen_reader_is_told():
    root = parse(to_svg(diamond(), {"load": "stored", "left": "running", "gone": "error"}))
    assert root.get("role") == "img"
    assert root.get("aria-label") == "Workflow of 4 tasks: 2 new, 1 running, 1 stored"
    assert root.find(f"{SVG}title").text == root.get("aria-label")


def test_summary_of_one():
    assert summary({}, 0) == "0 tasks"
    assert summary({"a": "error"}, 1) == "1 task: 1 error"


def test_lost_data_are_marked():
    text = to_svg(Graph.of([task("a", ["gone"])], [Data("gone")]))
    assert "gone: missing" in text


def test_control_characters_do_not_break_the_xml():
    parse(to_svg(Graph.of([task("a")]), {"a": "bad\x00\x1b\ud800"}))


def test_many_outputs_share_the_last_port():
    names = [f"out{i}" for i in range(20)]
    drawing = draw(Graph.of([task("a", (), names), task("b", names)]))
    (node,) = [n for n in drawing.nodes if n.name == "a"]
    assert node.ports[-1].label == "+ 15 more"
    assert len(drawing.wires) == 20
    assert node.height < 150


def test_calls_are_written_in_short_and_told_in_full():
    root = parse(to_svg(calls()))
    boxes = {g.get("data-task"): g for g in root.iter(f"{SVG}g") if g.get("data-task")}
    for name, short in zip(CALLS, ("fit-25d57", "fit-25d51", "load"), strict=True):
        label, _, port = boxes[name].iter(f"{SVG}text")
        assert boxes[name].find(f"{SVG}title").text == f"{name}: new"
        assert label.text == short
        assert port.find(f"{SVG}title").text == name
        assert port.find(f"{SVG}title").tail == short


def test_long_names_are_shortened_in_the_middle():
    assert shortened("a" * 300) == "a" * 17 + "…" + "a" * 8
    assert text_width("あ", 10) == 10
