"""What no worker can serve is said before it is submitted, and never waits in silence."""

from __future__ import annotations

import pytest

import jupyter_wf as wf
from jupyter_wf.errors import TaskError, WorkflowError
from jupyter_wf.graph import Code, Task
from jupyter_wf.magics.tables import partitions_table
from jupyter_wf.requirements import Requirements


def engine() -> wf.LocalEngine:
    return wf.LocalEngine(1, {"gpu": {"workers": 2, "gpu": 1, "memory": 4000, "license": 1}})


def make(name: str, source: str, reads: str = "", **asked) -> Task:
    inputs = ((reads, reads),) if reads else ()
    code = Code("cell", name, source, name)
    return Task(name, code, inputs, ((name, name),), None, Requirements(**asked))


def test_a_plan_says_what_is_missing_and_a_run_says_it_on_the_task() -> None:
    with wf.Workflow(engine(), "memory://") as flow:
        flow.define(make("big", "big = 1", partition="gpu", gpu=2000), run=False)
        flow.define(make("after", "after = big", reads="big"), run=False)
        flow.define(make("other", "other = 1", gpu=500), run=False)
        steps = flow.plan().steps
        why = "`big` asks for 2 gpus; the workers of partition 'gpu' have at most 1 each (1 worker)"
        assert {n: s.action for n, s in steps.items()} == {
            "big": "blocked",
            "after": "blocked",
            "other": "run",
        }
        assert steps["big"].why == steps["after"].why == why
        run = flow.run().wait()
        assert run.state == "error"
        assert {name: task.state for name, task in run.tasks.items()} == {
            "big": "blocked",
            "after": "blocked",
            "other": "stored",
        }
        assert flow.state_of("big") == "error"
        assert "asks for 2 gpus" in flow.why("big")
        assert flow.plan("big").steps["big"].action == "blocked"


@wf.task(gpu=3)
def greedy() -> int:
    return 1


@wf.task
def plus(x: int) -> int:
    return x + 1


@wf.task(partition="gpu", gpu=0.5, resources={"license": 1})
def modest() -> tuple[str, ...]:
    from jupyter_wf import context

    return context().gpus


def test_a_call_that_can_t_be_served_fails_at_once() -> None:
    with wf.Workflow(engine(), "memory://"):
        one = greedy.invoke()
        two = plus.invoke(one)
        with pytest.raises(TaskError, match="asks for 3 gpus; the workers have at most 1 each"):
            one.get()
        with pytest.raises((TaskError, WorkflowError), match="asks for 3 gpus"):
            two.get()
        assert modest.invoke().get() == ("0",)


def test_an_unknown_partition_is_refused_where_there_are_some() -> None:
    elsewhere = wf.task(partition="tpu")(lambda: 1)
    with wf.Workflow(engine(), "memory://"), pytest.raises(TaskError, match="there is 'gpu'"):
        elsewhere.invoke().get()


def test_where_no_partition_is_declared_any_is_served_with_one_warning(caplog) -> None:
    anywhere = [wf.task(partition=name)(plus._function) for name in ("a", "b")]
    with wf.Workflow(wf.LocalEngine(1), "memory://"):
        assert [one.invoke(i).get() for i, one in enumerate(anywhere)] == [1, 2]
    assert ["serves 'a'" in message for message in caplog.messages] == [True]


def test_partitions_are_told_with_what_is_free() -> None:
    with wf.Workflow(engine(), "memory://") as flow:
        lines = partitions_table(flow.engine.offers()).splitlines()
        assert [line.split()[0] for line in lines] == ["partition", "-", "gpu", "What"]
        assert "2 of 2" in lines[2]
        assert "1 of 1" in lines[2]
        assert "4,000 of 4,000 MB" in lines[2]
        assert "license 1 of 1" in lines[2]
    assert "No worker is here yet" in partitions_table(())
