"""The workflow as its users meet it, on the reference engine with a store on disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import jupyter_wf as wf
from jupyter_wf.closure import cell_code
from jupyter_wf.events import Event, GraphChanged, RunChanged
from jupyter_wf.graph import Task


@pytest.fixture
def flow(tmp_path: Path) -> Iterator[wf.Workflow]:
    with wf.Workflow(wf.LocalEngine(workers=2), tmp_path / "store") as flow:
        yield flow


def again(flow: wf.Workflow, tmp_path: Path) -> wf.Workflow:
    """Another session on the same store."""
    flow.flush()
    return wf.Workflow(wf.LocalEngine(workers=2), tmp_path / "store")


def cell(
    name: str, source: str, inputs: tuple[str, ...] = (), outputs: tuple[str, ...] = (), **more: str
) -> Task:
    code = cell_code(source, {}, label=name, filename=f"<{name}>", first_line=1)
    return Task(name, code, tuple((n, n) for n in inputs), tuple((n, n) for n in outputs), **more)


@wf.task
def add(a: float, b: float = 1) -> float:
    return a + b


# -- cells ------------------------------------------------------------------------------------


def chain(flow: wf.Workflow, first: str = "a = 1") -> None:
    flow.define(cell("A", first, outputs=("a",)))
    flow.define(cell("B", "b = a + 1", ("a",), ("b",)))
    flow.define(cell("C", "c = b * 10", ("b",), ("c",)))


def test_an_edit_runs_what_depends_on_it(flow: wf.Workflow) -> None:
    chain(flow)
    assert flow.handle("c").get() == 20
    flow.define(cell("A", "a = 2", outputs=("a",)))
    assert flow.handle("a").get() == 2
    assert (flow.state_of("B"), flow.state_of("C")) == ("stale", "stale")
    before = flow.engine.executions()
    run = flow.run().wait(30)
    assert run.state == "stored"
    assert flow.handle("c").get() == 30
    assert flow.engine.executions() - before == {"B": 1, "C": 1}


def test_equal_values_stop_the_wave(flow: wf.Workflow) -> None:
    chain(flow)
    flow.run().wait(30)
    before = flow.engine.executions()
    flow.define(cell("A", "a = 3 - 2", outputs=("a",)))
    run = flow.run().wait(30)
    assert flow.engine.executions() - before == {"A": 1}
    assert run.tasks["B"].state == "cached"
    assert "same" in run.tasks["B"].why


def test_undo_brings_back_the_old_values_without_work(flow: wf.Workflow) -> None:
    chain(flow)
    flow.run().wait(30)
    flow.define(cell("A", "a = 5", outputs=("a",)))
    flow.run().wait(30)
    before, revision = flow.engine.executions(), flow.revision
    assert flow.undo() == "define A"
    assert flow.revision == revision + 1
    assert flow.handle("c").get() == 20
    assert flow.redo() == "define A"
    assert flow.handle("c").get() == 60
    assert flow.engine.executions() == before


def test_undo_and_redo_have_ends(flow: wf.Workflow) -> None:
    with pytest.raises(wf.WorkflowError, match="nothing to undo"):
        flow.undo()
    with pytest.raises(wf.WorkflowError, match="nothing to redo"):
        flow.redo()


def test_a_cell_that_changes_its_outputs_blocks_its_readers(flow: wf.Workflow) -> None:
    chain(flow)
    flow.run().wait(30)
    flow.define(cell("A", "renamed = 1", outputs=("renamed",)))
    run = flow.run().wait(30)
    assert run.state == "error"
    assert run.tasks["B"].state == "blocked"
    assert run.tasks["B"].why == "a is produced by no task"


def test_a_cell_replaces_its_older_task(flow: wf.Workflow) -> None:
    flow.define(cell("first", "x = 1", outputs=("x",), cell="cell-1"))
    flow.define(cell("second", "y = 1", outputs=("y",), cell="cell-1"))
    assert set(flow.graph.tasks) == {"second"}
    flow.undo()
    assert set(flow.graph.tasks) == {"first"}


def test_given_values_are_edges_too(flow: wf.Workflow) -> None:
    task = cell("scale", "y = x * k", ("x", "k"), ("y",))
    (y,) = flow.define(task, {"x": np.arange(4), "k": 2})
    assert y.get().tolist() == [0, 2, 4, 6]
    flow.define(task, {"x": np.arange(4), "k": 3})
    assert y.get().tolist() == [0, 3, 6, 9]
    assert flow.graph.data["k"].content == wf.current().put(3).id


def test_two_producers_are_refused_with_the_remedy(flow: wf.Workflow) -> None:
    flow.define(cell("one", "x = 1", outputs=("x",)))
    with pytest.raises(wf.DoubleProducerError, match=r"'one'.*Rename"):
        flow.define(cell("two", "x = 2", outputs=("x",)))
    assert set(flow.graph.tasks) == {"one"}


def test_auto_runs_what_an_edit_made_stale(flow: wf.Workflow) -> None:
    flow.auto = True
    chain(flow)
    flow.handle("c").get()
    flow.define(cell("A", "a = 9", outputs=("a",)))
    flow.news.wait(lambda: flow.state_of("C") == "stored", 30)
    assert flow.handle("c").get() == 100


def test_force_computes_again(flow: wf.Workflow) -> None:
    chain(flow)
    flow.run().wait(30)
    before = flow.engine.executions()
    flow.run(force=["A"]).wait(30)
    assert flow.engine.executions() - before == {"A": 1}


def test_nothing_runs_while_planning(flow: wf.Workflow) -> None:
    flow.dry = True
    chain(flow)
    assert flow.plan().to_run == ("A", "B", "C")
    with pytest.raises(wf.NotComputedError, match="not stored: A, B, C"):
        flow.handle("c").get()
    flow.dry = False


def test_what_is_stored_can_be_read_while_planning(flow: wf.Workflow, tmp_path: Path) -> None:
    chain(flow)
    assert flow.handle("c").get() == 20
    with again(flow, tmp_path) as later:
        later.dry = True
        chain(later)
        assert later.handle("c").get() == 20


def test_why_and_provenance(flow: wf.Workflow) -> None:
    chain(flow)
    flow.handle("c").get()
    assert flow.why("c").startswith("C: ")
    flow.define(cell("A", "a = 2", outputs=("a",)))
    assert flow.why("C").startswith("C: stale")
    assert set(flow.handle("b").provenance().tasks) == {"A", "B"}
    with pytest.raises(wf.GraphError, match="no task or data named 'nope'"):
        flow.why("nope")


def test_removing_and_resetting_are_operations(flow: wf.Workflow) -> None:
    chain(flow)
    flow.remove("C")
    assert "c" not in flow.graph.data
    flow.reset()
    assert not flow.graph.tasks
    assert flow.undo() == "reset"
    assert flow.undo() == "remove C"
    assert set(flow.graph.tasks) == {"A", "B", "C"}


# -- news -------------------------------------------------------------------------------------


def test_listeners_hear_everything_until_they_leave(flow: wf.Workflow) -> None:
    heard: list[Event] = []
    leave = flow.subscribe(heard.extend)
    chain(flow)
    flow.run().wait(30)
    assert {type(e) for e in heard} >= {GraphChanged, RunChanged}
    assert [e.state for e in heard if isinstance(e, RunChanged)][-1] == "stored"
    leave()
    count = len(heard)
    flow.define(cell("D", "d = 1", outputs=("d",)))
    flow.run().wait(30)
    assert len(heard) == count


def test_leaving_the_block_waits_for_what_was_started(tmp_path: Path) -> None:
    with wf.Workflow(wf.LocalEngine(), tmp_path / "store"):
        add.invoke(20, 22)
    with wf.Workflow(wf.LocalEngine(), tmp_path / "store") as later:
        assert add.invoke(20, 22).get() == 42
        assert sum(later.engine.executions().values()) == 0


def test_what_runs_elsewhere_is_cancelled_by_moving_and_runs_again(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    wait = f"import pathlib, time\nwhile not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.01)"
    with wf.Workflow(wf.LocalEngine(), tmp_path / "store") as flow:
        flow.define(cell("A", f"{wait}\na = 1", outputs=("a",)), run=False)
        flow.define(cell("B", "b = a", ("a",), ("b",)), run=False)
        before = flow.run()
        assert flow.wait(lambda: flow.state_of("A") == "running", 30)
        flow.connect(wf.LocalEngine())
        assert before.wait(30).state == "cancelled"
        assert [flow.state_of(name) for name in "AB"] == ["cancelled", "cancelled"]
        gate.touch()
        assert flow.run().wait(30).state == "stored"
        assert flow.engine.executions() == {"A": 1, "B": 1}


def test_a_closed_workflow_says_so(tmp_path: Path) -> None:
    with wf.Workflow(wf.LocalEngine(), tmp_path / "store") as flow:
        pass
    with pytest.raises(wf.WorkflowError, match="closed"):
        _ = flow.engine
    with pytest.raises(wf.WorkflowError, match="closed"):
        flow.connect(wf.LocalEngine())


def test_why_answers_for_every_data(flow: wf.Workflow) -> None:
    flow.put(1, "k")
    code = cell_code("a = k", {}, label="A", filename="f", first_line=1)
    flow.define(Task("A", code, (("k", "k"),), (("a", "a"),)), run=False)
    code = cell_code("b = a", {}, label="B", filename="f", first_line=1)
    flow.define(Task("B", code, (("a", "a"),), (("b", "b"),)), run=False)
    assert flow.why("k") == "k: given from outside; read by A"
    with pytest.raises(wf.WorkflowError, match="'a' is no task but data: made by task 'A'"):
        flow.remove("a")
    flow.remove("A")
    assert flow.why("a").startswith("a: nothing makes it any more; read by B.")
    assert flow.why("B").startswith("B: new; a is produced by no task")
    with pytest.raises(wf.WorkflowError, match="named 'BB'; did you mean 'B'\\? Tasks: B"):
        flow.why("BB")
