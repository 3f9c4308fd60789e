"""Calls of task functions and the handles on what they give, on the reference engine."""

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


@pytest.fixture
def flow(tmp_path: Path) -> Iterator[wf.Workflow]:
    with wf.Workflow(wf.LocalEngine(workers=2), tmp_path / "store") as flow:
        yield flow


def again(flow: wf.Workflow, tmp_path: Path) -> wf.Workflow:
    """Another session on the same store."""
    flow.flush()
    return wf.Workflow(wf.LocalEngine(workers=2), tmp_path / "store")


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
    from tests.test_invoke import GATE

    GATE.wait(30)
    return x


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
