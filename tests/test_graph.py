from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_wf.errors import (
    CycleError,
    DoubleProducerError,
    GraphError,
    MissingInputError,
)
from jupyter_wf.graph import Code, Data, Graph, Task

CODE = Code("cell", "code", "pass", "f" * 40)


def task(name: str, reads: str = "", makes: str = "") -> Task:
    """Make a task that reads and makes the data named, separated by spaces."""
    return Task(
        name,
        CODE,
        tuple((data, data) for data in reads.split()),
        tuple((data, data) for data in makes.split()),
    )


DIAMOND = [
    task("load", "", "X"),
    task("left", "X", "L"),
    task("right", "X", "R"),
    task("join", "L R", "J"),
]


@st.composite
def dags(draw: st.DrawFn) -> list[Task]:
    """Tasks in an order in which each reads what earlier ones made."""
    tasks: list[Task] = []
    made: list[str] = []
    for number in range(draw(st.integers(1, 12))):
        reads = draw(st.lists(st.sampled_from(made), unique=True, max_size=3)) if made else []
        outputs = [f"d{number}_{i}" for i in range(draw(st.integers(0, 2)))]
        tasks.append(task(f"t{number}", " ".join(reads), " ".join(outputs)))
        made += outputs
    return tasks


def check(graph: Graph) -> None:
    """Assert what holds for every graph."""
    order = graph.order()
    place = {name: i for i, name in enumerate(order)}
    assert sorted(order) == sorted(graph.tasks)
    for name, node in graph.tasks.items():
        assert name == node.name
        assert all(place[before] < place[name] for before in graph.dependencies(name))
        assert all(graph.data[data].producer == name for _, data in node.outputs)
        assert all(name in graph.dependents(data) for _, data in node.inputs)
    for name, value in graph.data.items():
        maker = graph.producer(name)
        assert maker is None or name in {data for _, data in maker.outputs}
        assert not value.orphan or graph.dependents(name)


def test_order_and_neighbours() -> None:
    graph = Graph.of(reversed(DIAMOND))
    assert graph.order() == ("load", "left", "right", "join")
    assert graph.dependencies("join") == ("left", "right")
    assert graph.dependents("X") == ("left", "right")
    assert graph.ancestors(["join"]) == {"load", "left", "right"}
    assert graph.descendants(["load"]) == {"left", "right", "join"}
    assert graph.descendants(["left", "right"]) == {"join"}
    assert graph.producer("J") == DIAMOND[3]


@pytest.mark.parametrize(
    ("edit", "error", "named"),
    [
        (lambda g: g.with_task(task("new", "missing")), MissingInputError, ["'new'", "'missing'"]),
        (lambda g: g.with_task(task("new", "", "X")), DoubleProducerError, ["'load'", "'new'"]),
        (lambda g: g.with_task(task("new", "", "V")), DoubleProducerError, ["'V'", "value"]),
        (lambda g: g.with_task(task("new", "", "A A")), DoubleProducerError, ["'new'", "A"]),
        (lambda g: g.with_task(task("new", "X", "X")), CycleError, ["'new'", "'X'"]),
        (lambda g: g.with_task(task("new", "X X", "Y")), GraphError, ["'new'", "X"]),
        (lambda g: g.with_task(task("load", "J", "X")), CycleError, ["'join' → 'load' → "]),
        (lambda g: g.with_task(task("")), GraphError, ["task"]),
        (lambda g: g.with_task(task("a\nb")), GraphError, [r"a\nb"]),
        (lambda g: g.with_task(task("a" * 201)), GraphError, ["200"]),
        (lambda g: g.with_data(Data("X", content="c")), DoubleProducerError, ["'load'"]),
        (lambda g: g.with_data(Data("W", producer="load")), GraphError, ["'W'", "'load'"]),
        (lambda g: g.without_task("nobody"), GraphError, ["'nobody'"]),
    ],
)
def test_invalid_edits_are_refused_by_name(edit, error, named) -> None:  # type: ignore[no-untyped-def]
    graph = Graph.of(DIAMOND, [Data("V", content="c")])
    with pytest.raises(error) as caught:
        edit(graph)
    assert all(name in str(caught.value) for name in named)
    check(graph)


@pytest.mark.parametrize(
    ("tasks", "error"),
    [
        ([task("a", "Y", "X"), task("b", "X", "Y")], CycleError),
        ([task("a", "", "X"), task("b", "", "X")], DoubleProducerError),
        ([task("a", "", "X"), task("a", "", "Y")], GraphError),
        ([task("a", "nothing")], MissingInputError),
    ],
)
def test_invalid_graphs_are_refused(tasks: list[Task], error: type[Exception]) -> None:
    with pytest.raises(error):
        Graph.of(tasks)


def test_a_cycle_is_told_in_the_direction_of_the_data() -> None:
    ring = [task("a", "Z", "X"), task("b", "X", "Y"), task("c", "Y", "Z")]
    with pytest.raises(CycleError, match=r"'a' → 'b' → 'c' → 'a'|'b' → 'c' → 'a' → 'b'") as caught:
        Graph.of(ring)
    assert "'b' → 'a'" not in str(caught.value)


def test_a_new_task_that_makes_an_orphan_again_can_close_a_cycle() -> None:
    graph = Graph.of(DIAMOND).without_task("load")
    with pytest.raises(CycleError):
        graph.with_task(task("new", "J", "X"))
    check(graph.with_task(task("new", "", "X")))


def test_what_is_removed_leaves_orphans_only_where_they_are_read() -> None:
    graph = Graph.of(DIAMOND)
    without = graph.without_task("load")
    assert without.data["X"].orphan
    assert "J" not in graph.without_task("join").data
    assert without.without_task("left").without_task("right").data.get("X") is None
    check(without)
    check(without.with_data(Data("X", content="c")))
    assert without.with_task(DIAMOND[0]) == graph


def test_a_replaced_task_drops_its_old_outputs() -> None:
    graph = Graph.of(DIAMOND).with_task(task("left", "X", "K"))
    assert graph.data["L"].orphan
    assert graph.data["K"].producer == "left"
    assert "L" not in graph.with_task(task("join", "K R", "J")).data
    check(graph)


def test_an_edit_leaves_the_old_graph_as_it_was() -> None:
    graph = Graph.of(DIAMOND)
    order = graph.order()
    graph.with_task(task("left", "X", "K")).without_task("right")
    assert graph == Graph.of(DIAMOND)
    assert graph.order() == order


def test_a_chain_of_ten_thousand_has_an_order() -> None:
    chain = [task(f"t{i:05}", f"d{i - 1}" if i else "", f"d{i}") for i in range(10_000)]
    graph = Graph().with_tasks(chain)
    assert graph.order() == tuple(node.name for node in chain)
    assert len(graph.ancestors(["t09999"])) == 9_999


@given(dags(), st.randoms(use_true_random=False))
def test_every_order_of_definition_gives_the_same_graph(
    tasks: list[Task], chance: random.Random
) -> None:
    shuffled = tasks.copy()
    chance.shuffle(shuffled)
    graph = Graph.of(shuffled)
    assert graph == Graph.of(tasks) == Graph().with_tasks(tasks)
    assert graph.order() == Graph.of(tasks).order()
    check(graph)


@given(dags(), st.data())
def test_ancestors_and_descendants_are_converse(tasks: list[Task], data: st.DataObject) -> None:
    graph = Graph.of(tasks)
    a, b = (data.draw(st.sampled_from(tasks)).name for _ in range(2))
    assert (a in graph.ancestors([b])) == (b in graph.descendants([a]))


@given(dags(), st.data())
def test_edits_keep_graphs_valid(tasks: list[Task], data: st.DataObject) -> None:
    graph = Graph.of(tasks)
    for _ in range(6):
        known = sorted(graph.data) or ["none"]
        name = data.draw(st.sampled_from([*sorted(graph.tasks), "extra"]))
        if name in graph.tasks and data.draw(st.booleans()):
            graph = graph.without_task(name)
        else:
            names = st.lists(st.sampled_from([*known, "fresh"]), unique=True, max_size=2)
            edited = task(name, " ".join(data.draw(names)), " ".join(data.draw(names)))
            before = graph
            try:
                graph = graph.with_task(edited)
            except GraphError:
                graph = before
            else:
                assert graph.tasks[name] == edited
        check(graph)
