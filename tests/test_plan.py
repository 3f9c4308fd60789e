from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_wf.errors import GraphError
from jupyter_wf.fingerprint import Keys, combine, graph_keys
from jupyter_wf.graph import Call, Code, Data, Graph, Task
from jupyter_wf.plan import Plan, differences, make_plan
from jupyter_wf.records import Record
from jupyter_wf.requirements import Requirements

GIVEN = Data("raw", content="c" * 40)


def task(
    name: str, reads: str = "", makes: str = "", /, *, cache: bool = True, **parts: str
) -> Task:
    """Make a task; `parts` are those of its code besides its body."""
    found = tuple(sorted({"body": f"body of {name}", **parts}.items()))
    found = tuple((part.replace("__", " "), value) for part, value in found)
    code = Code("cell", name, "", combine(found), found)
    inputs = tuple((data, data) for data in reads.split())
    outputs = tuple((data, data) for data in makes.split())
    return Task(name, code, inputs, outputs, None, Requirements(cache=cache))


LOAD, CLEAN = task("load", "raw", "X"), task("clean", "X", "Y")
FIT, PLOT = task("fit", "Y", "m"), task("plot", "m Y", "p")
CHAIN = Graph.of([LOAD, CLEAN, FIT, PLOT], [GIVEN])


class Shelf:
    """What is stored, as `make_plan` asks for it."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.names: dict[str, Record] = {}

    def commit(self, graph: Graph, *names: str, keep: bool = True, **given: Any) -> Keys:
        keys = graph_keys(graph)
        for name in names:
            node = graph.tasks[name]
            inputs = tuple((slot, keys.data[data], "id") for slot, data in node.inputs)
            given = {"seconds": 2.0, **given}
            record = Record(keys.tasks[name], "", name, node.code.parts, inputs, (), **given)
            self.names[name] = record
            if keep:
                self.records[record.key] = record
        return keys

    def plan(self, graph: Graph, *targets: str, **given: Any) -> Plan:
        return make_plan(
            graph,
            targets or None,
            keys=graph_keys(graph),
            find=self.records.get,
            last=self.names.get,
            **given,
        )


def actions(plan: Plan) -> Mapping[str, str]:
    return {name: step.action for name, step in plan.steps.items()}


ALL = ("load", "clean", "fit", "plot")


@pytest.mark.parametrize(
    ("stored", "targets", "expected"),
    [
        ("", "", {"load": "run", "clean": "run", "fit": "run", "plot": "run"}),
        ("load clean fit plot", "", dict.fromkeys(ALL, "cached")),
        ("load clean", "", {"load": "cached", "clean": "cached", "fit": "run", "plot": "run"}),
        ("", "clean", {"load": "run", "clean": "run"}),
        ("", "Y", {"load": "run", "clean": "run"}),
        ("", "raw", {}),
        ("fit plot", "plot", {"fit": "cached", "plot": "cached"}),
        ("plot", "plot", {"plot": "cached"}),
        ("fit", "plot", {"load": "run", "clean": "run", "fit": "cached", "plot": "run"}),
        ("clean fit", "plot", {"clean": "cached", "fit": "cached", "plot": "run"}),
        ("plot", "plot fit", {"load": "run", "clean": "run", "fit": "run", "plot": "cached"}),
    ],
)
def test_only_what_is_needed_and_not_stored_runs(
    stored: str, targets: str, expected: dict[str, str]
) -> None:
    shelf = Shelf()
    shelf.commit(CHAIN, *stored.split())
    plan = shelf.plan(CHAIN, *targets.split())
    assert actions(plan) == expected
    assert list(plan.steps) == [name for name in CHAIN.order() if name in expected]


REPORT = task("report", "X", "r", function__helper="1", package__numpy="2.4.5", constant__A="a")


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"function__helper": "2"}, "`helper` changed"),
        ({"package__numpy": "2.4.6"}, "package numpy changed: 2.4.5 → 2.4.6"),
        ({"environment__jax": "0.6"}, "environment jax is new"),
        ({"constant__A": "b"}, "`A` changed"),
        ({"body": "other"}, "its code changed"),
        ({"module__mylib": "1"}, "module mylib is new"),
        ({"Python": "3.12"}, "Python is new"),
        (
            {"function__helper": "2", "constant__A": "b", "body": "other"},
            "its code changed; `A` changed; `helper` changed",
        ),
        (
            {"a": "1", "b": "2", "c": "3", "d": "4", "body": "other"},
            "its code changed; a is new; b is new; and 2 more",
        ),
    ],
)
def test_a_changed_part_is_named(changed: dict[str, str], why: str) -> None:
    shelf = Shelf()
    shelf.commit(Graph.of([LOAD, REPORT], [GIVEN]), "load", "report")
    parts = {"function__helper": "1", "package__numpy": "2.4.5", "constant__A": "a", **changed}
    edited = task("report", "X", "r", cache=True, **parts)
    plan = shelf.plan(Graph.of([LOAD, edited], [GIVEN]))
    assert plan.steps["report"].why == why
    assert plan.steps["report"].seconds == 2.0
    assert plan.cached == ("load",)


def test_a_part_that_is_gone_is_named() -> None:
    shelf = Shelf()
    shelf.commit(Graph.of([LOAD, REPORT], [GIVEN]), "report")
    plan = shelf.plan(Graph.of([LOAD, task("report", "X", "r", package__numpy="2.4.5")], [GIVEN]))
    assert plan.steps["report"].why == "`A` is no longer used; `helper` is no longer used"


def test_a_changed_input_is_named_all_the_way_down() -> None:
    shelf = Shelf()
    shelf.commit(CHAIN, *ALL)
    plan = shelf.plan(CHAIN.with_task(task("load", "raw", "X", body="other")))
    assert [step.why for step in plan.steps.values()] == [
        "its code changed",
        "input X changed",
        "input Y changed",
        "input m changed; input Y changed",
    ]
    given = shelf.plan(CHAIN.with_data(Data("raw", content="d")))
    assert given.steps["load"].why == "input raw changed"


def test_inputs_that_come_and_go_are_named() -> None:
    shelf = Shelf()
    shelf.commit(CHAIN, *ALL)
    edited = Task("fit", FIT.code, (("X", "X"),), FIT.outputs)
    why = shelf.plan(CHAIN.with_task(edited)).steps["fit"].why
    assert why == "input X is new; input Y is no longer read"


def test_changed_arguments_and_lost_values_are_told() -> None:
    shelf = Shelf()
    code = Code("function", "f", "", "f")
    one, other = (Task("f", code, (), (("result", "r"),), Call(d, b"")) for d in ("1", "2"))
    keys = shelf.commit(Graph.of([one]), "f", keep=False)
    assert shelf.plan(Graph.of([one])).steps["f"].why == "its stored values are gone"
    assert shelf.plan(Graph.of([other])).steps["f"].why == "its arguments changed"
    assert differences(shelf.names["f"], one, keys) == ["its stored values are gone"]


def test_where_a_cached_value_comes_from_is_told() -> None:
    shelf = Shelf()
    when = datetime(2026, 11, 20, 14, 3).astimezone()
    shelf.commit(CHAIN, "load", time=when.timestamp(), run="r-7")
    shelf.commit(CHAIN, "clean", run="r-8")
    shelf.commit(CHAIN, "fit")
    why = {name: step.why for name, step in shelf.plan(CHAIN).steps.items()}
    assert why == {
        "load": "stored 2026-11-20 14:03 by run r-7",
        "clean": "stored by run r-8",
        "fit": "stored",
        "plot": "never computed",
    }


def test_what_is_forced_runs_and_so_does_what_needs_it() -> None:
    shelf = Shelf()
    shelf.commit(CHAIN, *ALL)
    plan = shelf.plan(CHAIN, "fit", force=["clean"])
    assert {name: (step.action, step.why) for name, step in plan.steps.items()} == {
        "load": ("cached", "stored"),
        "clean": ("run", "forced"),
        "fit": ("run", "Y will be computed again"),
    }
    assert shelf.plan(CHAIN, "load", force=["m"]).to_run == ("fit",)
    assert shelf.plan(CHAIN, force=["plot"]).to_run == ("plot",)


def test_what_may_not_be_cached_always_runs() -> None:
    shelf = Shelf()
    graph = CHAIN.with_task(task("clean", "X", "Y", cache=False))
    shelf.commit(graph, *ALL)
    plan = shelf.plan(graph, "plot")
    assert plan.to_run == ("clean", "fit", "plot")
    assert plan.steps["clean"].why == "never taken from the store (no-cache)"
    assert plan.steps["plot"].why == "m will be computed again; Y will be computed again"


def test_an_orphan_blocks_what_needs_it() -> None:
    shelf = Shelf()
    graph = CHAIN.with_task(task("other", "", "o")).without_task("load")
    plan = shelf.plan(graph)
    assert plan.to_run == ("other",)
    assert plan.blocked == ("clean", "fit", "plot")
    assert {plan.steps[name].why for name in plan.blocked} == {"X is produced by no task"}
    assert plan.steps["fit"].key == ""


def test_nothing_runs_for_a_task_that_is_blocked_only() -> None:
    graph = CHAIN.with_tasks([task("other", "", "o"), task("both", "X o", "b")])
    plan = Shelf().plan(graph.without_task("load"), "both")
    assert actions(plan) == {"both": "blocked"}


@pytest.mark.parametrize(
    ("state", "targets", "action", "why"),
    [
        ("running", "", "run", "running now"),
        ("ready", "", "run", "about to run"),
        ("waiting", "", "run", "waiting to run"),
        ("stored", "", "cached", "computed just now"),
        ("cached", "", "cached", "computed just now"),
        ("cancelled", "", "run", "was cancelled"),
        ("error", "", "run", "failed before, is tried again"),
        ("error", "clean", "run", "failed before, is tried again"),
        ("error", "plot", "blocked", "`clean` failed"),
    ],
)
def test_what_the_engine_holds_is_heeded(state: str, targets: str, action: str, why: str) -> None:
    shelf = Shelf()
    keys = shelf.commit(CHAIN, "load")
    plan = shelf.plan(CHAIN, *targets.split(), active={keys.tasks["clean"]: state})
    assert (plan.steps.get("clean") or plan.steps["plot"]).action == action
    assert (plan.steps.get("clean") or plan.steps["plot"]).why == why


def test_a_stored_result_stands_although_what_made_its_input_failed() -> None:
    shelf = Shelf()
    keys = shelf.commit(CHAIN, "plot")
    plan = shelf.plan(CHAIN, "plot", active={keys.tasks["load"]: "error"})
    assert plan.cached == ("plot",)
    assert not plan.blocked


@pytest.mark.parametrize(
    ("names", "word"),
    [(["nobody"], "'nobody'"), (["X"], "'X' is no task but data: nothing makes it any more")],
)
def test_targets_that_are_not_there_are_refused(names: list[str], word: str) -> None:
    graph = CHAIN.without_task("load")
    with pytest.raises(GraphError, match=word):
        Shelf().plan(graph, *names)
    with pytest.raises(GraphError, match=word):
        Shelf().plan(graph, force=names)


def test_times_add_up() -> None:
    shelf = Shelf()
    graph = Graph.of(
        [task("a", "", "A"), task("b", "A", "B"), task("c", "A", "C"), task("d", "", "D")]
    )
    for name, seconds in {"a": 1.0, "b": 2.0, "c": 5.0}.items():
        shelf.commit(graph, name, keep=False, seconds=seconds)
    plan = shelf.plan(graph)
    assert (plan.seconds, plan.critical_seconds) == (8.0, 6.0)
    assert plan.steps["d"].seconds is None
    assert Plan().seconds == 0


def test_a_plan_is_a_table() -> None:
    shelf = Shelf()
    shelf.commit(CHAIN, "load", "clean")
    shelf.commit(CHAIN, "fit", keep=False, seconds=0.25)
    assert str(shelf.plan(CHAIN)).splitlines() == [
        "task   action  seconds  why",
        "load   cached           stored",
        "clean  cached           stored",
        "fit    run        0.25  its stored values are gone",
        "plot   run           ?  never computed",
        "2 to run, 2 cached, 0 blocked; 0.25 s of work, at least 0.25 s; 1 of unknown duration.",
    ]


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    tasks = []
    for number in range(draw(st.integers(1, 10))):
        known = ["raw", *(f"d{earlier}" for earlier in range(number))]
        reads = draw(st.lists(st.sampled_from(known), unique=True, max_size=3))
        tasks.append(task(f"t{number}", " ".join(reads), f"d{number}"))
    return Graph.of(tasks, [GIVEN])


@given(graphs(), st.data())
def test_a_plan_is_enough_and_no_more(graph: Graph, data: st.DataObject) -> None:
    names = st.sets(st.sampled_from(sorted(graph.tasks)), min_size=1)
    shelf = Shelf()
    stored, targets = data.draw(names), data.draw(names)
    shelf.commit(graph, *stored)
    plan = shelf.plan(graph, *targets)
    assert set(plan.steps) >= targets
    assert set(plan.cached) == stored & (targets | graph.ancestors(targets))
    assert not plan.blocked
    for name in plan.to_run:
        # All it reads is stored or made by the plan, and somebody wants it.
        assert set(graph.dependencies(name)) <= set(plan.steps)
        assert name in targets or set(plan.to_run) & graph.descendants([name])


@given(graphs(), st.data())
def test_after_an_edit_exactly_what_descends_from_it_runs(
    graph: Graph, data: st.DataObject
) -> None:
    shelf = Shelf()
    shelf.commit(graph, *graph.tasks)
    old = graph.tasks[data.draw(st.sampled_from(sorted(graph.tasks)))]
    code = Code("cell", old.name, "", "changed")
    plan = shelf.plan(graph.with_task(Task(old.name, code, old.inputs, old.outputs)))
    assert set(plan.to_run) == {old.name} | graph.descendants([old.name])
    assert not shelf.plan(graph).to_run
    forced = shelf.plan(graph, force=[old.name])
    assert forced.to_run == plan.to_run
