"""The live graph by scripts of events: tables first, then whatever hypothesis thinks of."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_wf.engine.abc import Job
from jupyter_wf.engine.answers import DEATHS
from jupyter_wf.engine.ends import GRACE
from jupyter_wf.engine.nodes import Node
from jupyter_wf.engine.packing import AHEAD, MOST, PATIENCE
from jupyter_wf.engine.serving import NOBODY
from jupyter_wf.engine.signals import (
    Cancel,
    Demand,
    Drop,
    Durable,
    Emit,
    Failed,
    Finished,
    Forget,
    HandOver,
    Instruction,
    Interrupt,
    LeaseEnded,
    LeaseJoined,
    Leaving,
    Missing,
    Recall,
    Remember,
    Stimulus,
    Submit,
    Suspect,
    Tick,
    Unrun,
    Unstored,
    WorkerJoined,
    WorkerLost,
)
from jupyter_wf.engine.state import LiveGraph
from jupyter_wf.engine.testing import cell, out
from jupyter_wf.errors import EngineError
from jupyter_wf.events import FINAL, Failure, TaskChanged
from jupyter_wf.records import Record, Stored
from jupyter_wf.resources import Device, Offer, offer_of

OOPS = Failure("ValueError", "oops", "")


@dataclass
class Script:
    """A live graph, and all that it asked for so far."""

    graph: LiveGraph = field(default_factory=lambda: LiveGraph(lambda recipe: None))
    now: float = 1000.0
    orders: list[Instruction] = field(default_factory=list)

    def __call__(self, *stimuli: Stimulus, after: float = 0.001) -> list[Instruction]:
        self.now += after
        orders = self.graph.handle(self.now, *stimuli)
        self.orders += orders
        self.graph.validate()
        for key, node in self.graph.tasks.items():
            if node.state in {"waiting", "ready"}:
                assert self.graph.why(key, self.now), node
        return orders

    def states(self) -> dict[str, str]:
        return {node.job.name: node.state for node in self.graph.tasks.values()}

    def serial(self, job: Job) -> int:
        return self.graph.tasks[job.key].serial

    def of(self, kind: type) -> list:
        return [order for order in self.orders if isinstance(order, kind)]

    def why(self, job: Job) -> str:
        return self.graph.tasks[job.key].why

    def finish(self, job: Job, *contents: str, nonce: str = "l1", **more) -> list[Instruction]:
        outputs = tuple(Stored(c, "json", 1) for c in contents)
        return self(Finished(nonce, self.serial(job), outputs, 0.001, **more))


def chain(length: int, **requirements) -> list[Job]:
    jobs = [cell("x0 = 1", name="t0", outputs=["x"], **requirements)]
    for i in range(1, length):
        inputs = [("x", out(jobs[-1]))]
        jobs.append(
            cell(f"y = x + {i}", name=f"t{i}", inputs=inputs, outputs=["x"], **requirements)
        )
    return jobs


def test_a_task_s_way() -> None:
    script, (one, two) = Script(), chain(2)
    script(Submit((two, one), {}))
    assert script.states() == {"t0": "ready", "t1": "waiting"}
    (order,) = [o for o in script(LeaseJoined("l1", "w1")) if isinstance(o, HandOver)]
    assert [a.job.name for a in order.attempts] == ["t0"]
    serial = script.serial(one)
    script.finish(one, "c1")
    assert script.states() == {"t0": "running", "t1": "running"}
    assert script.graph.writing == 1
    source = script.of(HandOver)[-1].attempts[0].sources[0]
    assert (source.content, source.holders, source.durable) == ("c1", ("w1",), False)
    script(Durable(serial))
    assert script.states() == {"t0": "stored", "t1": "running"}
    second = script.serial(two)
    script.finish(two, "c2")
    script(Durable(second))
    assert script.states() == {"t0": "stored", "t1": "stored"}
    assert script.graph.demand == 0


def test_a_silent_worker_is_handed_nothing_until_it_is_heard() -> None:
    script = Script()
    jobs = [cell(f"x = {i}", name=f"n{i}", outputs=["x"]) for i in range(3)]
    script(LeaseJoined("l1", "w1"), LeaseJoined("l2", "w2"), Suspect("w1", silent=True))
    script(Submit(tuple(jobs[:2]), {}))
    assert [order.worker for order in script.of(HandOver)] == ["w2"]
    script.finish(jobs[0], "c0", nonce="l2")
    assert [order.worker for order in script.of(HandOver)] == ["w2", "w2"]
    script(Submit(tuple(jobs[2:]), {}))
    assert script.states()["n2"] == "ready"
    script(Suspect("w1", silent=False))
    assert [order.worker for order in script.of(HandOver)] == ["w2", "w2", "w1"]
    script(Suspect("nobody", silent=True), Suspect("nobody", silent=False))


def test_only_the_current_attempt_commits() -> None:
    script, (one,) = Script(), chain(1)
    script(Submit((one,), {}), LeaseJoined("l1", "w1"))
    old = script.serial(one)
    script(WorkerLost("w1", "gone"), LeaseJoined("l2", "w2"))
    assert script.serial(one) != old
    script(Finished("l1", old, (Stored("late", "json", 1),), 0.1))
    assert script.states() == {"t0": "running"}
    new = script.serial(one)
    script(Finished("l2", old, (Stored("late", "json", 1),), 0.1))
    assert script.states() == {"t0": "running"}
    script(Finished("l2", new, (Stored("c", "json", 1),), 0.1))
    orders = script(Finished("l2", new, (Stored("twice", "json", 1),), 0.1))
    assert not [o for o in orders if isinstance(o, Emit)]
    assert script.graph.values.data[out(one)].content == "c"


def test_a_durable_that_overtakes_its_answer_counts() -> None:
    script, (one,) = Script(), chain(1)
    script(Submit((one,), {}), LeaseJoined("l1", "w1"))
    script(Durable(script.serial(one)))
    assert script.states() == {"t0": "running"}
    script.finish(one, "c")
    assert script.states() == {"t0": "stored"}


def test_a_failure_is_retried_and_then_cancels_what_needs_it() -> None:
    script, jobs = Script(), chain(3, retries=1)
    script(Submit(tuple(jobs), {}), LeaseJoined("l1", "w1"))
    script(Failed("l1", script.serial(jobs[0]), OOPS))
    assert script.states()["t0"] == "waiting"
    assert "failed with ValueError: oops; tried again in 0." in script.why(jobs[0])
    due = script.graph.deadline()
    assert due is not None
    script(Tick(), after=due - script.now - 1e-6)
    assert script.states()["t0"] == "waiting"
    script(Tick(), after=1e-5)
    assert script.states()["t0"] == "running"
    assert script.graph.tasks[jobs[0].key].number == 2
    script(Failed("l1", script.serial(jobs[0]), OOPS))
    assert script.states() == {"t0": "error", "t1": "cancelled", "t2": "cancelled"}
    assert script.why(jobs[2]) == "`t0` failed"
    script(Submit((jobs[2],), {}))
    assert script.why(jobs[2]) == "`t0` failed"
    script(Submit(tuple(jobs), {}))
    assert script.states() == {"t0": "running", "t1": "waiting", "t2": "waiting"}


def straggling(*more: Job) -> tuple[Script, Job]:
    """Return a script in which a task runs far longer than three of the same code did."""
    script = Script(LiveGraph(lambda recipe: None, speculate=3.0))
    jobs = [cell("y = 1", name=f"n{i}", outputs=["y"], cache=False) for i in range(4)]
    script(LeaseJoined("l1", "w1"))
    for job in jobs[:3]:
        script(Submit((job,), {}))
        serial = script.serial(job)
        script(Finished("l1", serial, (Stored("c", "json", 1),), 0.5), Durable(serial))
    script(Submit((jobs[3], *more), {}), LeaseJoined("l2", "w2"))
    script(Tick(), after=1.0)
    assert len(script.of(HandOver)) == 4 + len(more)
    script(Tick(), after=1.0)
    return script, jobs[3]


@pytest.mark.parametrize("first", ["copy", "original"])
def test_a_straggler_gets_a_copy_and_the_first_answer_counts(first: str) -> None:
    script, job = straggling()
    node = script.graph.tasks[job.key]
    assert "a copy runs on w2" in node.why
    one, two = ("l1", node.serial), ("l2", node.copy)
    winner, loser = (two, one) if first == "copy" else (one, two)
    script(Finished(*winner, (Stored("c", "json", 1),), 2.0))
    assert script.of(Interrupt)[-1].serial == loser[1]
    assert (node.accepted, node.copy) == (winner[1], 0)
    script(Finished(*loser, (Stored("late", "json", 1),), 2.0), Durable(loser[1]))
    assert script.graph.values.data[out(job)].content == "c"
    assert script.states()["n3"] == "running"
    script(Durable(winner[1]))
    assert script.states()["n3"] == "stored"


@pytest.mark.parametrize("lost", ["w1", "w2"])
def test_a_task_is_left_to_the_attempt_that_is_left(lost: str) -> None:
    script, job = straggling()
    node = script.graph.tasks[job.key]
    serials = {"w1": node.serial, "w2": node.copy}
    script(WorkerLost(lost, "died"))
    (left,) = serials.keys() - {lost}
    assert (node.state, node.serial, node.worker) == ("running", serials[left], left)
    script(Failed(node.lease, node.serial, OOPS))
    assert script.states()["n3"] == "error"


def test_a_cancelled_straggler_is_stopped_with_its_copy() -> None:
    script, job = straggling()
    node = script.graph.tasks[job.key]
    serials = {node.serial, node.copy}
    script(Cancel((job.key,)))
    assert {order.serial for order in script.of(Interrupt)} == serials


def test_what_is_ready_goes_before_copies() -> None:
    script, job = straggling(cell("z = 1", name="z", outputs=["z"]))
    assert not script.graph.tasks[job.key].copy


def test_what_a_task_waits_for_is_named() -> None:
    script, jobs = Script(), [*chain(2, retries=1), cell("z = 1", name="z", outputs=["z"])]

    def why(job: Job) -> str:
        return script.graph.why(job.key, script.now)

    script(Submit(tuple(jobs), {}))
    assert why(jobs[0]) == "waits for a worker: none is here"
    script(LeaseJoined("l1", "w1"))
    assert why(jobs[0]) == ""
    assert why(jobs[1]) == "waits for 'x' of `t0` (running on w1)"
    assert why(jobs[2]) == "waits for a slot: of 1, 1 busy"
    script(Suspect("w1", silent=True))
    assert why(jobs[0]) == "on worker w1, which is not heard"
    assert why(jobs[2]) == "waits for a slot: of 1, 1 on workers that are not heard"
    script(Suspect("w1", silent=False))
    script(Failed("l1", script.serial(jobs[0]), OOPS))
    assert why(jobs[0]).startswith("attempt 1 failed with ValueError: oops; is tried again in 0.")
    assert why(jobs[1]) == "waits for 'x' of `t0` (waiting)"
    script(Tick(), after=1.0)
    script(Finished("l1", script.serial(jobs[2]), (Stored("c", "json", 1),), 0.1))
    script.finish(jobs[0], "c0")
    assert why(jobs[0]) == "computed; its values are being written"
    script(Submit((cell("g = 1", name="g", outputs=["g"], gpu=1000),), {}))
    assert "1 gpu" in why(cell("g = 1", name="g", outputs=["g"], gpu=1000))


def test_what_may_not_be_retried_is_an_error_at_once() -> None:
    for kinds, state in ((("OSError",), "waiting"), (("KeyError", "LookupError"), "error")):
        script, (one,) = Script(), chain(1, retries=3, no_retry_on=("LookupError",))
        script(Submit((one,), {}), LeaseJoined("l1", "w1"))
        script(Failed("l1", script.serial(one), OOPS, kinds))
        assert script.states() == {"t0": state}


def test_a_task_that_is_held_back_can_be_cancelled_and_can_lose_its_inputs() -> None:
    for last in (Cancel, WorkerLost):
        script, jobs = Script(), chain(2, retries=1)
        script(Submit(tuple(jobs), {}), LeaseJoined("l1", "w1"))
        script.finish(jobs[0], "c0")
        script(Failed("l1", script.serial(jobs[1]), OOPS))
        if last is Cancel:
            script(Cancel((jobs[1].key,)))
            assert script.states()["t1"] == "cancelled"
        else:
            script(WorkerLost("w1", "died"))
            script(Tick(), after=5.0)
            assert script.states() == {"t0": "ready", "t1": "waiting"}
        assert script.graph.deadline() is None


def test_a_value_lost_before_it_is_durable_is_computed_again() -> None:
    script, jobs = Script(), chain(3)
    script(Submit(tuple(jobs), {}), LeaseJoined("l1", "w1"))
    script.finish(jobs[0], "c0")
    script.finish(jobs[1], "c1")
    script(WorkerLost("w1", "w1 died"))
    assert script.states() == {"t0": "ready", "t1": "waiting", "t2": "waiting"}
    script(LeaseJoined("l2", "w2"))
    assert "w1 died" in [e.why for o in script.of(Emit) for e in o.events if hasattr(e, "why")]
    for i, job in enumerate(jobs):
        serial = script.serial(job)
        script.finish(job, f"c{i}", nonce="l2")
        script(Durable(serial))
    assert set(script.states().values()) == {"stored"}


def test_a_durable_value_is_loaded_and_not_computed_again() -> None:
    script, jobs = Script(), chain(2)
    script(Submit(tuple(jobs), {}), LeaseJoined("l1", "w1"))
    serial = script.serial(jobs[0])
    script.finish(jobs[0], "c0")
    script(Durable(serial), WorkerLost("w1", "gone"))
    assert script.states() == {"t0": "stored", "t1": "ready"}
    script(LeaseJoined("l2", "w2"))
    (source,) = script.of(HandOver)[-1].attempts[0].sources
    assert source == ("c0", 1, (), True)


def test_what_a_lost_worker_committed_unheard_is_not_computed_again() -> None:
    held: dict[str, Record] = {}
    script, jobs = Script(LiveGraph(held.get)), chain(3)
    script(Submit(tuple(jobs), {}), LeaseJoined("l1", "w1"))
    script.finish(jobs[0], "c0")
    for job, content in zip(jobs, ("c0", "c1"), strict=False):
        # One answered before it was written, the other was written before it could answer.
        recipe = script.graph.tasks[job.key].recipe
        outputs = (("x", Stored(content, "json", 1)),)
        held[recipe] = Record(job.key, recipe, job.name, (), (), outputs)
    script(WorkerLost("w1", "w1 died"))
    assert script.states() == {"t0": "stored", "t1": "stored", "t2": "ready"}
    assert not script.of(Remember)
    script(LeaseJoined("l2", "w2"))
    (attempt,) = script.of(HandOver)[-1].attempts
    assert attempt.sources[0] == ("c1", 1, (), True)


def test_what_a_lost_worker_was_to_write_is_done_again_though_a_peer_has_it() -> None:
    script, (one, two) = Script(), chain(2)
    script(Submit((one, two), {}), LeaseJoined("l1", "w1"))
    script.finish(one, "c0")
    script(LeaseEnded("l1"), LeaseJoined("l2", "w2"))
    script.finish(two, "c1", nonce="l2", loaded=("c0",))
    script(WorkerLost("w1", "w1 died"))
    assert script.states() == {"t0": "running", "t1": "running"}
    serial, accepted = script.serial(one), script.graph.tasks[two.key].accepted
    script.finish(one, "c0", nonce="l2")
    script(Durable(serial), Durable(accepted))
    assert script.states() == {"t0": "stored", "t1": "stored"}
    assert not script.graph.writing


def test_a_task_under_which_workers_die_is_given_up() -> None:
    script, (one,) = Script(), chain(1)
    script(Submit((one,), {}))
    for i in range(DEATHS):
        script(LeaseJoined(f"l{i}", f"w{i}"))
        assert script.states() == {"t0": "running"}
        script(WorkerLost(f"w{i}", "killed by signal 9"))
    assert script.states() == {"t0": "error"}
    assert "killed by signal 9" in script.why(one)


def test_cancel_interrupts_softly_and_then_hard() -> None:
    script, jobs = Script(), chain(2)
    script(Submit(tuple(jobs), {}), LeaseJoined("l1", "w1"))
    serial = script.serial(jobs[0])
    script(Cancel((jobs[0].key,)))
    assert script.states() == {"t0": "cancelled", "t1": "cancelled"}
    assert script.of(Interrupt) == [Interrupt("w1", "l1", serial)]
    assert script.graph.deadline() == pytest.approx(script.now + GRACE)
    script(Tick(), after=GRACE / 2)
    assert len(script.of(Interrupt)) == 1
    script(Tick(), after=GRACE)
    assert script.of(Interrupt)[-1] == Interrupt("w1", "l1", serial, hard=True)


def test_a_cancelled_attempt_that_ends_frees_its_lease() -> None:
    script, (one,), other = Script(), chain(1), cell("z = 1", name="z", outputs=["z"])
    script(Submit((one, other), {}), LeaseJoined("l1", "w1"))
    serial = script.serial(one)
    script(Cancel((one.key,)))
    assert script.states()["z"] == "ready"
    script(Failed("l1", serial, OOPS))
    assert script.states() == {"t0": "cancelled", "z": "running"}


def test_time_is_up() -> None:
    script, (one,) = Script(), chain(1, timeout=5.0, retries=1)
    script(Submit((one,), {}), LeaseJoined("l1", "w1"))
    assert script.graph.deadline() == pytest.approx(script.now + 5)
    for _ in range(2):
        serial = script.serial(one)
        script(Tick(), after=5.01)
        assert script.of(Interrupt)[-1] == Interrupt("w1", "l1", serial)
        script(Failed("l1", serial, Failure("TaskCancelledError", "stopped", "")))
        if script.states() == {"t0": "waiting"}:
            script(Tick(), after=1.0)
            assert script.graph.deadline() == pytest.approx(script.now + 5)
    assert script.states() == {"t0": "error"}
    assert "limit of 5 s" in script.why(one)


def test_early_cut_off_by_the_store_and_by_a_twin() -> None:
    job = cell("y = 1", name="a", outputs=["y"])
    twin = cell("y = 1", name="b", outputs=["y"])
    stored = Stored("c", "json", 1)
    known = Record("k", "r", "old", (), (), (("y", stored),))
    script = Script(LiveGraph(lambda recipe: known))
    orders = script(Submit((job,), {}))
    assert script.states() == {"a": "cached"}
    (remember,) = [o for o in orders if isinstance(o, Remember)]
    assert remember.record.key == job.key
    script = Script()
    script(Submit((job,), {}), LeaseJoined("l1", "w1"))
    serial = script.serial(job)
    script.finish(job, "c")
    script(Durable(serial), Submit((twin,), {}))
    assert script.states() == {"a": "stored", "b": "cached"}
    forced = cell("y = 1", name="c", outputs=["y"], cache=False)
    script(Submit((forced,), {}))
    assert script.states()["c"] == "running"


def test_values_leave_memory_when_durable_and_unread() -> None:
    script = Script(LiveGraph(lambda recipe: None, keep=0))
    jobs = chain(2)
    script(Submit(tuple(jobs), {}), LeaseJoined("l1", "w1"))
    first = script.serial(jobs[0])
    script.finish(jobs[0], "c0")
    script(Durable(first))
    assert not script.of(Drop)
    second = script.serial(jobs[1])
    script.finish(jobs[1], "c1")
    assert not script.of(Drop), "its inputs are needed until its own value is durable"
    script(Durable(second))
    assert {c for drop in script.of(Drop) for c in drop.contents} == {"c0", "c1"}


def test_forget_drops_values_that_only_memory_has() -> None:
    script = Script(LiveGraph(lambda recipe: None, shared=False))
    (one,) = chain(1)
    script(Submit((one,), {}), LeaseJoined("l1", "w1"))
    script.finish(one, "c0")
    assert script.states() == {"t0": "stored"}
    assert not script.of(Drop)
    script(Forget((one.key,)))
    assert script.of(Drop) == [Drop("w1", ("c0",))]
    assert not script.graph.tasks
    assert not script.graph.values.data
    assert not script.graph.values.contents


def test_work_queued_behind_a_long_task_is_called_back() -> None:
    script = Script()
    jobs = [cell("y = 1", name=f"n{i}", outputs=["y"]) for i in range(5)]
    script(Submit(tuple(jobs[:1]), {}), LeaseJoined("l1", "w1"))
    script.finish(jobs[0], "c0")
    script(Submit(tuple(jobs[1:]), {}))
    hands = script.graph.leases["l1"].hands
    assert len(hands) == 4
    script(LeaseJoined("l2", "w2"))
    assert not script.of(Recall)
    script(Tick(), after=1.0)
    assert script.of(Recall) == [Recall("w1", "l1")]
    script(Unrun("l1", tuple(hands)[1:]))
    assert len(script.graph.leases["l2"].hands) > 0


def test_the_next_long_task_is_handed_over_shortly_before_the_one_before_it_ends() -> None:
    script = Script()
    jobs = [cell("y = 1", name=f"n{i}", outputs=["y"], cache=False) for i in range(3)]
    script(Submit(tuple(jobs), {}), LeaseJoined("l1", "w1"))
    script(Finished("l1", script.serial(jobs[0]), (Stored("c0", "json", 1),), 1.0), after=1.0)
    hands = script.graph.leases["l1"].hands
    assert [*hands] == [script.serial(jobs[1])]
    due = script.graph.deadline()
    assert due == pytest.approx(script.now + 1.0 - AHEAD)
    script(Tick(), after=due - script.now)
    assert [*hands] == [script.serial(jobs[1]), script.serial(jobs[2])]
    assert not script.of(Recall)
    # What takes longer than expected is not waited for.
    script(Tick(), after=AHEAD + 2 * PATIENCE)
    assert script.of(Recall) == [Recall("w1", "l1")]
    script(Unrun("l1", (script.serial(jobs[2]),)))
    assert script.states()["n2"] == "ready"
    assert script.graph.deadline() is None
    script(LeaseJoined("l2", "w2"))
    assert script.graph.tasks[jobs[2].key].lease == "l2"


def test_missing_inputs_are_made_again_but_not_forever() -> None:
    script, jobs = Script(), chain(2)
    script(Submit(tuple(jobs), {}), LeaseJoined("l1", "w1"))
    for i in range(DEATHS):
        script.finish(jobs[0], f"c{i}")
        script(Missing("l1", script.serial(jobs[1]), (f"c{i}",)))
    assert script.states()["t1"] == "error"


def test_a_job_that_reads_what_nobody_gives_is_refused_and_changes_nothing() -> None:
    script, jobs = Script(), chain(2)
    with pytest.raises(EngineError, match="'t1' reads 'x'"):
        script(Submit((jobs[1],), {}))
    assert not script.graph.tasks
    assert not script.graph.values.data


def test_demand_is_told_when_slots_are_short_and_when_none_is_needed() -> None:
    script, jobs = Script(), chain(2)
    script(Submit(tuple(jobs), {}))
    assert script.of(Demand) == [Demand(1)]
    script(LeaseJoined("l1", "w1"))
    script.finish(jobs[0], "c0")
    script.finish(jobs[1], "c1")
    assert script.of(Demand)[-1] == Demand(0)


def test_what_nobody_can_serve_is_told_as_workers_come_and_go() -> None:
    script, whys = Script(), []
    job = cell("x = 1", name="big", outputs=["x"], gpu=1000)
    small, large = Offer(), offer_of({"gpu": 1}, "w2")
    script(Submit((job,), {}))
    for news in (
        WorkerJoined("w1", None, small),
        WorkerJoined("w2", None, large),
        WorkerLost("w2", "gone"),
        WorkerLost("w1", "gone"),
        LeaseJoined("l2", "w2", None, large),
    ):
        whys.append(script.why(job))
        script(news)
    assert whys == [
        NOBODY,
        "asks for 1 gpu; the workers have none (1 worker)",
        "",
        "asks for 1 gpu; the workers have none (1 worker)",
        NOBODY,
    ]
    assert script.states() == {"big": "running"}
    assert script.of(HandOver)[-1].attempts[0].gpus == ("0",)


def test_many_tiny_tasks_travel_in_few_messages() -> None:
    script, leases = Script(), [f"l{i}" for i in range(4)]
    jobs = [cell("x = 1", name=f"n{i}", outputs=["x"], cache=False) for i in range(10_000)]
    orders = script.graph.handle(1.0, Submit(tuple(jobs), {}), *[LeaseJoined(n, n) for n in leases])
    messages = []
    while orders:
        handed = [order for order in orders if isinstance(order, HandOver)]
        messages += handed
        done = [
            Finished(order.nonce, attempt.serial, (Stored("c", "json", 1),), 1e-5)
            for order in handed
            for attempt in order.attempts
        ]
        orders = script.graph.handle(1.0, *done) if done else []
    assert sum(len(order.attempts) for order in messages) == 10_000
    # The first of a kind go one by one, and the last are spread; between them, the most there may.
    assert len(messages) < 100
    assert max(len(order.attempts) for order in messages) == MOST


# -- any script ------------------------------------------------------------------------------------


@st.composite
def graphs(draw) -> list[Job]:
    jobs: list[Job] = []
    for i in range(draw(st.integers(1, 8))):
        parents = draw(st.lists(st.sampled_from(jobs), unique_by=id, max_size=3)) if jobs else []
        inputs = [(f"x{n}", out(parent)) for n, parent in enumerate(parents)]
        source = draw(st.sampled_from(["y = 1", "y = 2", f"y = 'own {i}'"]))
        more = {"retries": draw(st.integers(0, 2)), "gpu": draw(st.sampled_from([0, 0, 500, 1000]))}
        if draw(st.booleans()):
            more["timeout"] = 3.0
        more["retry_delay"] = draw(st.sampled_from([0.0, 0.1]))
        more["no_retry_on"] = draw(st.sampled_from([(), ("OSError",)]))
        jobs.append(cell(source, name=f"t{i}", inputs=inputs, outputs=["y"], **more))
    return jobs


#: The first two see the same device, the third has none.
OFFERS = {
    name: Offer(2000, (Device(place, "0"),) if place else ())
    for name, place in {"w1": "host", "w2": "host", "w3": "", "w9": "own"}.items()
}


@settings(max_examples=300, deadline=None)
@given(jobs=graphs(), data=st.data(), shared=st.booleans(), keep=st.sampled_from([0, 100]))
def test_any_script_keeps_every_promise_and_ends(jobs, data, shared, keep) -> None:
    held: dict[str, Record] = {}
    find = held.get if shared else lambda recipe: None
    speculate = data.draw(st.sampled_from([0.0, 2.0]))
    script = Script(LiveGraph(find, shared=shared, keep=keep, speculate=speculate))
    answered: list[tuple[str, int]] = []
    born = 0

    def in_hand() -> list[tuple[str, int]]:
        return [(n, s) for n, lease in script.graph.leases.items() for s in lease.hands]

    def finished(nonce: str, serial: int) -> Finished:
        key = script.graph.task_of(serial)
        job = script.graph.tasks[key].job if key else jobs[0]
        value = Stored(job.code.fingerprint[:8], "json", 10)
        contents = sorted(script.graph.values.contents)
        loaded = tuple(
            data.draw(st.lists(st.sampled_from(contents), max_size=2)) if contents else ()
        )
        return Finished(nonce, serial, (value,), 0.001, loaded=loaded)

    def commit_unheard(node: Node) -> None:
        """Let the store have what an attempt gave, whether its engine hears of it or not."""
        value = Stored(node.job.code.fingerprint[:8], "json", 10)
        outputs = tuple((output, value) for output, _ in node.job.outputs)
        held[node.recipe] = Record(node.job.key, node.recipe, node.job.name, (), (), outputs)

    for _ in range(data.draw(st.integers(1, 30))):
        step = data.draw(st.integers(0, 15))
        hands = in_hand()
        if step <= 1:
            count = data.draw(st.integers(1, len(jobs)))
            script(Submit(tuple(jobs[:count]), {}))
        elif step == 2 or not script.graph.leases:
            born += 1
            worker = data.draw(st.sampled_from(["w1", "w2", "w3"]))
            script(LeaseJoined(f"l{born}", worker, None, OFFERS[worker]))
        elif step == 3:
            script(WorkerLost(data.draw(st.sampled_from(sorted(script.graph.machines))), "died"))
        elif step == 4:
            script(LeaseEnded(data.draw(st.sampled_from(sorted(script.graph.leases)))))
        elif step == 5:
            script(Cancel((data.draw(st.sampled_from(jobs)).key,)))
        elif step == 6:
            script(Forget((data.draw(st.sampled_from(jobs)).key,)))
        elif step == 7:
            script(Tick(), after=data.draw(st.sampled_from([0.01, 1.5, 4.0])))
        elif step == 9:
            worker = data.draw(st.sampled_from(sorted(script.graph.machines)))
            script(Suspect(worker, silent=data.draw(st.booleans())))
        elif step == 10:
            script(Leaving(data.draw(st.sampled_from(sorted(script.graph.machines)))))
        elif step == 11 and shared:
            running = [n for n in script.graph.tasks.values() if n.state == "running"]
            if running:
                commit_unheard(data.draw(st.sampled_from(running)))
        elif step == 8 and answered:
            late = data.draw(st.sampled_from(answered))
            script(data.draw(st.sampled_from([finished(*late), Failed(*late, OOPS)])))
            script(Durable(late[1]))
        elif hands:
            nonce, serial = data.draw(st.sampled_from(hands))
            key = script.graph.task_of(serial)
            sources = [
                s.content
                for order in script.of(HandOver)
                for a in order.attempts
                if a.serial == serial
                for s in a.sources
            ]
            answered.append((nonce, serial))
            kind = data.draw(st.integers(0, 6))
            if kind <= 2 or key is None:
                script(finished(nonce, serial))
            elif kind == 3:
                kinds = data.draw(st.sampled_from([(), ("OSError",)]))
                script(Failed(nonce, serial, OOPS, kinds))
            elif kind == 4 and sources:
                script(Missing(nonce, serial, (data.draw(st.sampled_from(sources)),)))
            elif kind == 5:
                script(Unrun(nonce, (serial,)))
            else:
                script(data.draw(st.sampled_from([Durable(serial), Unstored(serial, "full")])))
    # From whatever state this is, honest workers bring everything to an end.
    script(LeaseJoined("last", "w9", None, OFFERS["w9"]))
    for _ in range(500):
        hands = in_hand()
        writing = [*script.graph.live.writing]
        if not hands and not writing and not script.graph.live.paused:
            break
        script(Tick(), after=1.0)
        for nonce, serial in hands:
            script(finished(nonce, serial))
        script(*[Durable(serial) for serial in writing])
    assert all(node.state in FINAL for node in script.graph.tasks.values()), script.states()
    finals = {}
    for order in script.of(Emit):
        for event in order.events:
            if isinstance(event, TaskChanged):
                finals[event.task] = event.state
    for key, node in script.graph.tasks.items():
        assert finals.get(key, node.state) == node.state or node.state == "cached"
    script(Forget(tuple(script.graph.tasks)))
    assert not script.graph.values.data
    script(WorkerLost("w9", "end"))
