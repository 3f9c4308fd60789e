"""Tasks that add tasks, hand their outputs on to them, or wait for them."""

from __future__ import annotations

from typing import Any

import pytest

from jupyter_wf.engine.abc import Engine, Store
from jupyter_wf.engine.testing.base import Base
from jupyter_wf.engine.testing.jobs import Watch, cell, out
from jupyter_wf.engine.testing.waiting import wait_for_file
from jupyter_wf.events import TaskChanged, TaskFailed

#: What cells under test begin with.
DEFINITIONS = """
import pathlib
import jupyter_wf as wf

@wf.task
def add_one(a):
    return a + 1

@wf.task
def add_by_ones(a, b):
    if a <= 0:
        return b
    return add_by_ones.invoke(a - 1, add_one.invoke(b), delegate=True)

@wf.task
def total(values):
    return sum(values)

@wf.task
def fibonacci(n):
    if n < 2:
        return n
    return total.invoke([fibonacci.invoke(n - 1), fibonacci.invoke(n - 2)])

@wf.task
def leaves(depth):
    if depth == 0:
        return 1
    return sum(one.get() for one in [leaves.invoke(depth - 1), other_leaves.invoke(depth - 1)])

@wf.task
def other_leaves(depth):
    return leaves.invoke(depth, delegate=True)

@wf.task
def fails(a):
    raise ValueError(f"not {a}")

@wf.task
def touch(path):
    pathlib.Path(path).touch()

@wf.task
def endless(path):
    pathlib.Path(path).touch()
    while True:
        pass
"""


class AddingTests(Base):
    """Tasks that add tasks, hand their outputs on to them, or wait for them."""

    def test_an_output_is_handed_on_to_who_was_there_before(
        self, engine: Engine, store: Store, watch: Watch
    ) -> None:
        job = cell(f"{DEFINITIONS}\nx = add_by_ones.invoke(20, 5)", name="adds", outputs=["x"])
        after = cell("y = x + 1", name="after", inputs=[("x", out(job))], outputs=["y"])
        engine.submit([after, job], {})
        assert watch.end(job, after) == ["stored", "stored"]
        assert engine.value(out(job)) == 25
        assert engine.value(out(after)) == 26
        ran = engine.executions()
        assert (ran["adds"], ran["add_by_ones"], ran["add_one"]) == (1, 21, 20)
        (spawned,) = watch.of_parent(job)
        assert [name.split("-")[0] for _, name in spawned.tasks] == ["add_by_ones"]
        assert any(why.startswith("handed on to `add_by_ones-") for why in watch.whys(job))
        engine.close()
        store.refresh()
        record = store.find(job.key)
        assert record is not None
        assert store.get(record.outputs[0][1].id) == 25

    def test_equal_calls_are_one_task(self, engine: Engine, watch: Watch) -> None:
        job = cell(f"{DEFINITIONS}\nx = fibonacci.invoke(12)", name="fib", outputs=["x"])
        engine.submit([job], {})
        assert watch.end(job) == ["stored"]
        assert engine.value(out(job)) == 144
        assert engine.executions()["fibonacci"] == 13

    def test_bodies_that_wait_leave_their_slots_to_others(
        self, engine: Engine, watch: Watch
    ) -> None:
        job = cell(f"{DEFINITIONS}\nx = leaves.invoke(5).get()", name="waits", outputs=["x"])
        engine.submit([job], {})
        assert watch.end(job) == ["stored"]
        assert engine.value(out(job)) == 32

    def test_an_output_may_be_handed_on_while_another_is_computed(
        self, engine: Engine, watch: Watch
    ) -> None:
        source = f"{DEFINITIONS}\nx, y = add_one.invoke(1), [3]"
        job = cell(source, name="both", outputs=["x", "y"])
        engine.submit([job], {})
        assert watch.end(job) == ["stored"]
        assert (engine.value(out(job, "x")), engine.value(out(job, "y"))) == (2, [3])

    def test_large_values_are_passed_on(self, engine: Engine, watch: Watch) -> None:
        source = (
            f"{DEFINITIONS}\nimport numpy as np\nX = np.arange(100_000.0)\n"
            "x = total.invoke([add_one.invoke(X), X])"
        )
        job = cell(source, name="large", outputs=["x"])
        engine.submit([job], {})
        assert watch.end(job) == ["stored"]
        assert engine.value(out(job))[-1] == 199_999.0

    def test_what_nobody_reads_runs_all_the_same(
        self, engine: Engine, watch: Watch, tmp_path: Any
    ) -> None:
        flag = tmp_path / "touched"
        source = f"{DEFINITIONS}\n_ = touch.invoke({str(flag)!r})\nx = 1"
        job = cell(source, name="aside", outputs=["x"])
        engine.submit([job], {})
        assert watch.end(job) == ["stored"]
        wait_for_file(flag)

    def test_a_repeated_attempt_adds_the_same_tasks(
        self, engine: Engine, watch: Watch, tmp_path: Any
    ) -> None:
        flag = tmp_path / "tried"
        source = (
            f"{DEFINITIONS}\nx = add_one.invoke(41).get()\nflag = pathlib.Path({str(flag)!r})\n"
            "if not flag.exists():\n    flag.touch()\n    raise ValueError('once')"
        )
        job = cell(source, name="again", outputs=["x"], retries=1)
        engine.submit([job], {})
        assert watch.end(job) == ["stored"]
        assert engine.value(out(job)) == 42
        assert engine.executions()["again"] == 2
        assert engine.executions()["add_one"] == 1

    @pytest.mark.parametrize(
        ("ending", "said"),
        [
            ("x = fails.invoke(1)", "fails"),
            ("x = total.invoke([fails.invoke(1), add_one.invoke(1)])", "fails"),
            ("x = fails.invoke(1).get()", "not 1"),
        ],
        ids=["handed on", "through another", "waited for"],
    )
    def test_who_depends_on_what_fails_says_so(
        self, engine: Engine, watch: Watch, ending: str, said: str
    ) -> None:
        job = cell(f"{DEFINITIONS}\n{ending}", name="parent", outputs=["x"])
        after = cell("y = x", name="after", inputs=[("x", out(job))], outputs=["y"])
        engine.submit([job, after], {})
        first, second = watch.end(job, after)
        assert first in {"error", "cancelled"}
        assert second == "cancelled"
        failures = [failed.failure.message for failed in watch.of(job, TaskFailed)]
        assert any(said in text for text in [*failures, *watch.whys(job)])

    def test_who_waits_may_go_on_without_it(self, engine: Engine, watch: Watch) -> None:
        source = (
            f"{DEFINITIONS}\ntry:\n    x = fails.invoke(1).get()\n"
            "except wf.TaskError as error:\n    x = 'ValueError: not 1' in str(error)"
        )
        job = cell(source, name="copes", outputs=["x"])
        engine.submit([job], {})
        assert watch.end(job) == ["stored"]
        assert engine.value(out(job)) is True

    @pytest.mark.parametrize("ending", ["", ".get()"], ids=["handed on", "waited for"])
    def test_cancelling_a_task_stops_what_it_added(
        self, engine: Engine, watch: Watch, tmp_path: Any, ending: str
    ) -> None:
        flag = tmp_path / "began"
        source = f"{DEFINITIONS}\nx = endless.invoke({str(flag)!r}){ending}"
        job = cell(source, name="parent", outputs=["x"])
        engine.submit([job], {})
        wait_for_file(flag)
        engine.cancel([job.key])
        assert watch.end(job) == ["cancelled"]
        more = [cell(f"x = {i}", name=f"m{i}", outputs=["x"]) for i in range(8)]
        engine.submit(more, {})
        assert watch.end(*more) == ["stored"] * 8
        (spawned,) = watch.of_parent(job)
        ((child, _),) = spawned.tasks
        watch.until(
            lambda: any(
                isinstance(e, TaskChanged) and e.task == child and e.state == "cancelled"
                for e in watch.events
            )
        )

    def test_an_output_that_waits_for_itself_is_an_error(
        self, engine: Engine, watch: Watch
    ) -> None:
        source = (
            "import jupyter_wf as wf\n@wf.task\ndef loop(n):\n    return loop.invoke(n)\n"
            "x = loop.invoke(1)"
        )
        job = cell(source, name="loop", outputs=["x"])
        engine.submit([job], {})
        assert watch.end(job)[0] in {"error", "cancelled"}
