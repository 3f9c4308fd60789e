"""The workflow as its users meet it, on the reference engine with a store on disk."""

from __future__ import annotations

import asyncio
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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


@wf.task
def total(values: list[float], *, scale: float = 1) -> float:
    return scale * sum(values)


@wf.task(outputs=("low", "high"))
def span(values: list[float]) -> tuple[float, float]:
    return min(values), max(values)


@wf.task
def fail(x: float) -> float:
    raise ValueError(f"no {x}")


GATE = threading.Event()


@wf.task
def blocked(x: float) -> float:
    from tests.test_workflow import GATE

    GATE.wait(30)
    return x


# -- calls ------------------------------------------------------------------------------------


def test_a_task_is_still_a_function() -> None:
    assert add(1, 2) == 3


def test_calls_become_a_graph(flow: wf.Workflow) -> None:
    a = add.invoke(1, 2)
    b = add.invoke(a, b=a)
    c = total.invoke([a, b, 10], scale=2)
    assert c.get() == 2 * (3 + 6 + 10)
    assert flow.graph.dependencies(c.name) == (a.name, b.name)
    assert flow.graph.dependencies(b.name) == (a.name,)
    assert flow.engine.executions() == {"add": 2, "total": 1}


def test_a_call_may_be_named_as_it_is_shown(flow: wf.Workflow) -> None:
    first, second = add.invoke(1, 2), add.invoke(3, 4)
    short = flow.graph.short_names
    assert flow.handle(short[first.name]) == first
    assert [*flow.run(short[second.name]).wait().tasks] == [second.name]
    assert flow.why(short[first.name]).startswith(f"{first.name}: ")
    flow.remove(short[first.name])
    assert flow.why("add").startswith(f"{second.name}: ")


def test_the_same_call_is_the_same_data(flow: wf.Workflow) -> None:
    first, second = add.invoke(1, 2), add.invoke(1, 2)
    assert first.key == second.key
    assert first.name == second.name
    assert (first.get(), second.get()) == (3, 3)
    assert flow.engine.executions() == {"add": 1}


def test_types_of_constants_are_told_apart(flow: wf.Workflow) -> None:
    assert add.invoke(1, 2).key != add.invoke(1.0, 2).key
    assert add.invoke(True, 2).key != add.invoke(1, 2).key
    assert add.invoke(-0.0, 2).key != add.invoke(0.0, 2).key
    assert add.invoke("b", "c").key != add.invoke("c", "b").key
    assert add.invoke(a=1, b=2).key == add.invoke(b=2, a=1).key != add.invoke(b=1, a=2).key
    assert add.invoke(10**5000, 1).key == add.invoke(10**5000, 1).key


def test_several_outputs(flow: wf.Workflow) -> None:
    low, high = span.invoke([3, 1, 2])
    assert (low.get(), high.get()) == (1, 3)
    assert add.invoke(low, high).get() == 4


def test_map_invoke(flow: wf.Workflow) -> None:
    assert [d.get() for d in add.map_invoke([(1, 2), (3, 4)])] == [3, 7]


def test_a_handle_is_awaitable_and_an_array(flow: wf.Workflow) -> None:
    x = flow.put(np.arange(3.0))
    y = add.invoke(x, 1)

    async def wait() -> object:
        return await y

    assert np.array_equal(asyncio.run(wait()), [1, 2, 3])
    assert np.asarray(y).sum() == 6
    assert y.zarr().shape == (3,)


def test_what_a_handle_refuses(flow: wf.Workflow) -> None:
    x = add.invoke(1, 2)
    with pytest.raises(TypeError, match=r"\.get\(\)"):
        bool(x)
    with pytest.raises(wf.WorkflowError, match="argument"):
        pickle.dumps(x)
    with pytest.raises(wf.CaptureError, match="missing a required argument"):
        add.invoke()
    with wf.Workflow(wf.LocalEngine(), "memory://") as other:
        foreign = other.put(1)
    with pytest.raises(wf.CaptureError, match="another workflow"):
        add.invoke(foreign)


@pytest.mark.parametrize(
    ("use", "what"),
    [
        (lambda x: x + 1, "+"),
        (lambda x: 1 - x, "-"),
        (lambda x: x @ x, "@"),
        (lambda x: x == 3, "=="),
        (lambda x: x != 3, "=="),
        (lambda x: x < 3, "<"),
        (lambda x: x[0], "[…]"),
        (len, "len()"),
        (list, "iteration"),
        (lambda x: x.shape, ".shape"),
    ],
)
def test_a_handle_used_as_its_value_says_what_to_do(
    flow: wf.Workflow, use: Callable[[Any], object], what: str
) -> None:
    with pytest.raises((TypeError, AttributeError)) as caught:
        use(flow.put(3, "x"))
    message = f"'x' is a handle, on which {what} does not work. Use .get() for its value"
    assert message in str(caught.value)


def test_handles_work_with_arrays_and_know_each_other(flow: wf.Workflow) -> None:
    x = flow.put(np.arange(3.0), "x")
    assert np.array_equal(x + np.ones(3), [1, 2, 3])
    assert np.array_equal(np.ones(3) - x, [1, 0, -1])
    assert (x == np.arange(3)).all()
    assert x == flow.handle("x") != flow.put(1, "y")
    assert x in {flow.handle("x"): 1}
    assert not hasattr(x, "shape")


def test_a_handle_on_what_was_removed_says_so(flow: wf.Workflow) -> None:
    x = add.invoke(1, 2)
    flow.undo()
    assert repr(x) == f"<Data {x.name}: no longer in the workflow>"
    with pytest.raises(wf.WorkflowError, match="Define the task that makes it again, or undo"):
        x.get()


def test_an_error_carries_the_users_lines(flow: wf.Workflow) -> None:
    bad = fail.invoke(7)
    after = add.invoke(bad, 1)
    with pytest.raises(wf.TaskError, match="ValueError: no 7") as caught:
        bad.get()
    assert 'raise ValueError(f"no {x}")' in caught.value.traceback
    assert "jupyter_wf/engine" not in caught.value.traceback
    with pytest.raises(wf.TaskCancelledError, match="fail"):
        after.get()
    assert bad.state == "error"
    assert after.state == "cancelled"


def test_waiting_ends_at_the_timeout_and_cancel_stops(flow: wf.Workflow) -> None:
    GATE.clear()
    slow = blocked.invoke(1)
    try:
        with pytest.raises(TimeoutError):
            slow.wait(timeout=0.05)
        flow.cancel(slow)
    finally:
        GATE.set()
    with pytest.raises(wf.TaskCancelledError):
        slow.get()


def test_closing_wakes_up_who_waits(flow: wf.Workflow) -> None:
    GATE.clear()
    run = flow.run(blocked.invoke(2))
    waiting = threading.Thread(target=run.wait, daemon=True)
    waiting.start()
    try:
        closing = threading.Thread(target=flow.close, daemon=True)
        closing.start()
        waiting.join(20)
        assert run.state == "cancelled"
    finally:
        GATE.set()
    closing.join(20)


def test_a_second_session_computes_nothing(flow: wf.Workflow, tmp_path: Path) -> None:
    values = [add.invoke(i, 1) for i in range(5)]
    result = total.invoke(values).get()
    with again(flow, tmp_path):
        repeated = total.invoke([add.invoke(i, 1) for i in range(5)])
        assert repeated.get() == result
        assert repeated.state == "cached"
        assert sum(wf.current().engine.executions().values()) == 0


def test_a_second_session_goes_on_from_what_is_stored(flow: wf.Workflow, tmp_path: Path) -> None:
    add.invoke(1, 2).get()
    with again(flow, tmp_path) as later:
        # Called in one breath: what the first call makes is stored, the second must be told.
        assert total.invoke([add.invoke(1, 2)], scale=2).get() == 6
        assert sum(later.engine.executions().values()) == 1


def test_a_value_lost_from_the_store_is_made_again(flow: wf.Workflow, tmp_path: Path) -> None:
    big = add.invoke(flow.put(np.ones(300_000)), 1)
    content = big.wait().id
    assert content is not None
    other = again(flow, tmp_path)
    for path in (tmp_path / "store").rglob(f"*{content}*"):
        for file in sorted(path.rglob("*"), reverse=True):
            file.unlink() if file.is_file() else file.rmdir()
        path.rmdir()
    with other:
        x = other.put(np.ones(300_000))
        assert add.invoke(x, 1).get().sum() == 600_000


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


async def later() -> int:
    return 1


def one_by_one() -> Iterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (later, r"later\(\) is async.*asyncio\.run"),
        (one_by_one, r"one_by_one\(\) is a generator.*as a list"),
        ("4GiB", "of a function, not of '4GiB'. Give its options by name"),
    ],
)
def test_what_cannot_be_a_task_is_refused_at_once(function: Any, says: str) -> None:
    with pytest.raises(wf.CaptureError, match=says):
        wf.task(function)


def test_arguments_without_identity_are_named_by_their_parameter(flow: wf.Workflow) -> None:
    with pytest.raises(wf.CaptureError, match=r"add\.invoke\(\) uses 'b\[1\]', a generator"):
        add.invoke(1, [2, (i for i in range(3))])
    with pytest.raises(wf.CaptureError, match=r"add\.invoke\(\) uses 'b', a .*lock"):
        add.invoke(flow.put(1), b=threading.Lock())


def test_each_call_is_an_operation_of_its_own(flow: wf.Workflow) -> None:
    revision = flow.revision
    handles = [add.invoke(number, 1) for number in range(5)]
    assert flow.revision == revision + 5
    assert len(flow.graph.tasks) == 5
    assert flow.undo() == f"invoke {handles[4].name}"
    assert flow.undo() == f"invoke {handles[3].name}"
    assert set(flow.graph.tasks) == {handle.name for handle in handles[:3]}
    assert flow.redo() == f"invoke {handles[3].name}"
    assert handles[3].get() == 4
    with pytest.raises(wf.GraphError, match="any more"):
        handles[4].get()


def test_a_chain_of_calls_needs_no_look_at_the_graph(flow: wf.Workflow) -> None:
    x = add.invoke(0, 1)
    for _ in range(300):
        x = add.invoke(x, 1)
    assert x.get() == 301
    assert len(flow.graph.order()) == 301
    assert flow.keys.data[x.name] == x.key


@pytest.mark.slow
def test_a_script_that_closes_nothing_ends_in_silence(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import jupyter_wf as wf\n"
        "@wf.task\n"
        "def double(x):\n"
        "    return 2 * x\n"
        "print(double.invoke(21).get())\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("42\n", "")
