from __future__ import annotations

from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_wf.formats.layers import Box, Edge
from jupyter_wf.formats.layout import Layout, layout


@st.composite
def planes(draw: st.DrawFn) -> tuple[dict[str, Box], list[Edge]]:
    count = draw(st.integers(1, 40))
    sizes = st.tuples(st.integers(40, 160), st.integers(20, 90))
    boxes = {f"n{i}": Box(*draw(sizes)) for i in range(count)}
    ends = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1))
    pairs = draw(st.lists(ends.filter(lambda p: p[0] != p[1]), max_size=70))
    return boxes, [Edge(f"n{min(p)}", f"n{max(p)}") for p in pairs]


def wide() -> tuple[dict[str, Box], list[Edge]]:
    names = [f"n{i}" for i in range(120)]
    edges = [Edge("n0", name) for name in names[1:-1]]
    return {n: Box(100, 50) for n in names}, [*edges, *(Edge(n, "n119") for n in names[1:-1])]


def check(boxes: dict[str, Box], edges: list[Edge], found: Layout) -> None:
    for a, b in combinations(boxes, 2):
        (ax, ay), (bx, by) = found.places[a], found.places[b]
        apart = (
            ax + boxes[a].width <= bx
            or bx + boxes[b].width <= ax
            or ay + boxes[a].height <= by
            or by + boxes[b].height <= ay
        )
        assert apart, f"{a} and {b} overlap"
    for edge, route in zip(edges, found.routes, strict=True):
        x, y = found.places[edge.source]
        assert route[0] == (x + boxes[edge.source].width, y + edge.exit)
        x, y = found.places[edge.target]
        assert route[-1] == (x, y + boxes[edge.target].entry)
        assert all(one[0] <= two[0] for one, two in pairwise(route)), "goes back"
        assert route[0][0] < route[-1][0]
    for x, y in [*found.places.values(), *(point for route in found.routes for point in route)]:
        assert -0.1 <= x <= found.width
        assert -0.1 <= y <= found.height + 0.1


@given(planes())
def test_boxes_are_apart_and_edges_go_forward(plane):
    check(*plane, layout(*plane))


@given(planes())
def test_the_same_graph_is_drawn_the_same(plane):
    assert layout(*plane) == layout(*plane)


def test_a_wide_layer_is_folded():
    boxes, edges = wide()
    found = layout(boxes, edges)
    check(boxes, edges, found)
    assert found.width / found.height > 0.5


def test_a_chain_is_a_straight_line():
    boxes = {name: Box(80, 40, 20) for name in "abcd"}
    found = layout(boxes, [Edge(*pair, 20) for pair in pairwise("abcd")])
    assert {y for _, y in found.places.values()} == {0.0}


def test_a_long_edge_passes_beside_the_boxes_between():
    boxes = {name: Box(80, 40, 20) for name in "abc"}
    found = layout(boxes, [Edge("a", "b", 20), Edge("b", "c", 20), Edge("a", "c", 20)])
    (left, top) = found.places["b"]
    over = [y for x, y in found.routes[2] if left <= x <= left + 80]
    assert over
    assert all(not top <= y <= top + 40 for y in over)


def test_avoidable_crossings_are_avoided():
    boxes = {name: Box(80, 40, 20) for name in ("a", "b", "c", "x", "y", "z")}
    found = layout(boxes, [Edge(*p, 20) for p in ("az", "by", "cx", "bx", "bz")])
    order = sorted("abc", key=lambda n: found.places[n][1])
    assert order in (["a", "b", "c"], ["c", "b", "a"])
    facing = sorted("xyz", key=lambda n: found.places[n][1])
    assert facing == (["z", "y", "x"] if order[0] == "a" else ["x", "y", "z"])


@pytest.mark.parametrize("count", [0, 1, 50])
def test_boxes_without_edges_make_a_grid(count):
    boxes = {f"n{i}": Box(100, 50) for i in range(count)}
    found = layout(boxes, [])
    check(boxes, [], found)
    assert found.height < 10 * 68
