"""Tasks that running tasks add: scripts of events by table, then whatever hypothesis thinks of."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_wf.engine.abc import Job
from jupyter_wf.engine.answers import DEATHS
from jupyter_wf.engine.delegation import SOON
from jupyter_wf.engine.growth import snapshot
from jupyter_wf.engine.signals import (
    Awaiting,
    Cancel,
    Durable,
    Emit,
    Failed,
    Family,
    Finished,
    HandOver,
    Instruction,
    Interrupt,
    LeaseEnded,
    LeaseJoined,
    Note,
    Provide,
    Remember,
    Snapshot,
    Spawned,
    Stimulus,
    Submit,
    Tick,
    WorkerLost,
)
from jupyter_wf.engine.state import LiveGraph
from jupyter_wf.engine.testing import cell, out
from jupyter_wf.events import (
    FINAL,
    Failure,
    TaskCached,
    TaskChanged,
    TaskComputed,
    TaskFailed,
    TasksSpawned,
)
from jupyter_wf.fingerprint import source_key
from jupyter_wf.records import Record, Stored

OOPS = Failure("ValueError", "oops", "")


def job(name: str, *inputs: str, **more) -> Job:
    slots = [(f"x{i}", data) for i, data in enumerate(inputs)]
    return cell(f"y = '{name}'", name=name, inputs=slots, outputs=["y"], **more)


def value(name: str) -> Stored:
    return Stored(f"c-{name}", "json", 10)


@dataclass
class Workers:
    """A live graph whose attempts do what `programs` say of their tasks, when told to."""

    programs: dict[str, tuple] = field(default_factory=dict)
    shared: bool = True
    graph: LiveGraph = field(init=False)
    now: float = 1000.0
    orders: list[Instruction] = field(default_factory=list)
    handed: dict[int, tuple[str, str, Job]] = field(default_factory=dict)
    provided: dict[tuple[int, str], Provide] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)
    bodies: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.graph = LiveGraph(lambda _: None, self.records.get, shared=self.shared)

    def __call__(self, *stimuli: Stimulus, after: float = 0.001) -> None:
        self.now += after
        orders = self.graph.handle(self.now, *stimuli)
        self.graph.validate()
        self.orders += orders
        for order in orders:
            match order:
                case HandOver():
                    for a in order.attempts:
                        self.handed[a.serial] = (order.worker, order.nonce, a.job)
                case Provide():
                    self.provided[order.serial, order.data] = order

    def of(self, kind: type) -> list:
        return [order for order in self.orders if isinstance(order, kind)]

    def events(self, kind: type) -> list:
        return [e for order in self.of(Emit) for e in order.events if isinstance(e, kind)]

    def states(self) -> dict[str, str]:
        return {node.job.name: node.state for node in self.graph.tasks.values()}

    def in_hand(self) -> list[int]:
        leases = self.graph.leases.values()
        return [s for lease in leases for s in (*lease.hands, *lease.parked)]

    def writing(self) -> list[int]:
        return [s for s in self.graph.live.writing if s in self.handed]

    def act(self, serial: int) -> None:
        """Let an attempt go on to the end, or until it waits."""
        _, nonce, job = self.handed[serial]
        program = self.programs.get(job.name, ("value",))
        kind, children = program[0], program[1:]
        outputs: tuple[Stored | str, ...] = (value(job.name),)
        family = Family(children)
        if serial not in self.graph.live.serials:
            self(Failed(nonce, serial, OOPS))
            return
        if kind == "hand on":
            outputs = (out(children[-1]),)
        elif kind == "give":
            given = value(f"given by {job.name}")
            family = Family(children, ((source_key(given.id), given),))
            outputs = (out(children[-1]),)
        elif kind == "wait":
            told = self.provided.get((serial, out(children[-1])))
            if told is None:
                spawned = Spawned(nonce, serial, family)
                self(spawned, Awaiting(nonce, serial, (out(children[-1]),)))
                return
            if told.failure is not None:
                self(Failed(nonce, serial, told.failure))
                return
        elif kind == "fail":
            self(Failed(nonce, serial, OOPS))
            return
        self.bodies.append(job.name)
        self(Finished(nonce, serial, outputs, 0.001, family=family))

    def finish(self) -> None:
        """Let honest workers bring everything to an end."""
        for _ in range(1000):
            hands, writing = self.in_hand(), self.writing()
            if not hands and not writing and not self.graph.live.paused:
                return
            self(Tick(), after=1.0)
            for serial in hands:
                if serial in self.in_hand():
                    self.act(serial)
            self(*[Durable(serial) for serial in writing])
        raise AssertionError(self.states())

    def content(self, job: Job) -> str | None:
        return self.graph.values.data[out(job)].content


LEAF, OTHER = job("leaf"), job("other")
ROOT, AFTER = job("root"), job("after", out(job("root")))
JOIN = job("join", out(LEAF), out(OTHER))


def started(programs: dict[str, tuple], *jobs: Job) -> Workers:
    workers = Workers(programs)
    workers(LeaseJoined("l1", "w1"), Submit(jobs or (ROOT, AFTER), {}))
    return workers


def only(workers: Workers) -> int:
    (serial,) = workers.in_hand()
    return serial


def test_children_come_with_the_accepted_answer_and_their_value_is_the_parent_s() -> None:
    workers = started({"root": ("hand on", LEAF, OTHER, JOIN)})
    workers.act(only(workers))
    assert workers.states() == {
        "root": "waiting",
        "after": "waiting",
        "leaf": "running",
        "other": "ready",
        "join": "waiting",
    }
    assert workers.graph.tasks[ROOT.key].why == "handed on to `join`"
    (spawned,) = workers.events(TasksSpawned)
    assert spawned.parent == ROOT.key
    assert [name for _, name in spawned.tasks] == ["leaf", "other", "join"]
    workers.finish()
    assert workers.states() == {"root": "stored", "after": "stored"}
    assert workers.content(ROOT) == "c-join"
    assert workers.bodies == ["root", "leaf", "other", "join", "after"]
    (remember,) = workers.of(Remember)
    assert (remember.record.key, remember.record.outputs) == (ROOT.key, (("y", value("join")),))


def test_only_what_tasks_come_to_that_somebody_asked_for_is_urgent() -> None:
    workers = started({"root": ("hand on", LEAF, OTHER, JOIN)})
    workers.finish()
    asked = {ROOT.key, AFTER.key}
    settling = TaskComputed | TaskCached | TaskFailed
    for order in workers.of(Emit):
        ends = {
            event.task
            for event in order.events
            if isinstance(event, settling)
            or (isinstance(event, TaskChanged) and event.state in FINAL)
        }
        assert order.urgent == bool(ends & asked), order
    assert {order.urgent for order in workers.of(Emit)} == {True, False}


def test_dependents_start_when_the_value_is_there_and_not_durable_yet() -> None:
    workers = started({"root": ("hand on", LEAF)})
    workers.act(only(workers))
    serial = only(workers)
    workers.act(serial)
    assert workers.states()["after"] == "running"
    assert workers.states()["root"] == "waiting"
    assert not workers.of(Remember)
    workers(Durable(serial))
    assert workers.states() == {"root": "stored", "after": "running"}


def test_a_long_chain_is_never_long() -> None:
    steps = [job(f"step{i}") for i in range(1000)]
    workers = started({s.name: ("hand on", n) for s, n in pairwise(steps)})
    workers(Submit(tuple(steps[:1]), {}))
    most = 0
    for _ in range(2000):
        hands, writing = workers.in_hand(), workers.writing()
        if not hands and not writing:
            break
        for serial in hands:
            workers.act(serial)
        workers(*[Durable(serial) for serial in writing])
        most = max(most, len(workers.graph.tasks), len(workers.graph.values.data))
    assert workers.content(steps[0]) == "c-step999"
    assert most <= 5


def test_a_chain_that_gives_values_is_shortened_once_they_are_durable() -> None:
    given = [source_key(value(f"given by step{i}").id) for i in range(100)]
    steps = [job("step0"), *[job(f"step{i}", given[i - 1]) for i in range(1, 100)]]
    workers = started({s.name: ("give", n) for s, n in pairwise(steps)})
    workers(Submit(tuple(steps[:1]), {}))
    most = 0
    while hands := workers.in_hand():
        writing = workers.writing()
        for serial in hands:
            workers.act(serial)
        workers(*[Durable(serial) for serial in writing])
        most = max(most, len(workers.graph.tasks))
    workers.finish()
    assert workers.content(steps[0]) == "c-step99"
    assert most <= 6


@pytest.mark.parametrize("how", ["child fails", "grandchild fails"])
def test_what_was_handed_on_to_a_task_that_fails_has_failed(how: str) -> None:
    programs = {"root": ("hand on", LEAF), "leaf": ("fail",)}
    if how == "grandchild fails":
        programs = {"root": ("hand on", LEAF, OTHER, JOIN), "other": ("fail",)}
    workers = started(programs)
    workers.finish()
    assert workers.states() == {"root": "error", "after": "cancelled"}
    failures = {event.task: event.failure for event in workers.events(TaskFailed)}
    assert failures[ROOT.key] == OOPS


def test_a_body_that_waits_lets_its_lease_go_on() -> None:
    workers = started({"root": ("wait", LEAF)})
    parent = only(workers)
    workers.act(parent)
    assert workers.states()["root"] == "running"
    assert workers.graph.leases["l1"].parked.keys() == {parent}
    (child,) = workers.graph.leases["l1"].hands
    workers.act(child)
    (told,) = workers.of(Provide)
    assert (told.serial, told.data, told.source.content) == (parent, out(LEAF), "c-leaf")
    workers.act(parent)
    workers.finish()
    assert workers.content(ROOT) == "c-root"
    assert workers.states() == {"root": "stored", "after": "stored"}


def test_a_body_is_told_that_what_it_waits_for_failed() -> None:
    workers = started({"root": ("wait", LEAF), "leaf": ("fail",)})
    workers.finish()
    assert workers.states() == {"root": "error", "after": "cancelled"}


def test_time_spent_waiting_counts_for_the_limit() -> None:
    root = job("root", timeout=5.0)
    workers = started({"root": ("wait", LEAF)}, root)
    parent = only(workers)
    workers.act(parent)
    workers(Tick(), after=6.0)
    assert [order.serial for order in workers.of(Interrupt)] == [parent]


def test_a_retried_parent_makes_the_same_children_which_are_not_computed_again() -> None:
    root = job("root", retries=1)
    workers = started({"root": ("wait", LEAF)}, root)
    parent = only(workers)
    workers.act(parent)
    (child,) = workers.graph.leases["l1"].hands
    workers.act(child)
    workers(Durable(child), Failed("l1", parent, OOPS))
    workers.finish()
    assert workers.bodies == ["leaf", "root"]


def test_what_a_parent_gave_is_given_again_if_it_was_lost() -> None:
    given = value("given by root")
    reader = job("reader", source_key(given.id))
    workers = started({"root": ("give", reader)})
    workers.act(only(workers))
    workers(WorkerLost("w1", "killed"), LeaseJoined("l2", "w2"))
    workers.finish()
    assert workers.bodies == ["root", "root", "reader", "after"]
    assert workers.content(ROOT) == "c-reader"


def test_what_a_parent_gave_and_is_durable_is_not_given_again() -> None:
    reader = job("reader", source_key(value("given by root").id))
    workers = started({"root": ("give", reader)})
    parent = only(workers)
    workers.act(parent)
    workers(Durable(parent))
    workers(WorkerLost("w1", "killed"), LeaseJoined("l2", "w2"))
    workers.finish()
    assert workers.bodies == ["root", "reader", "after"]


def test_cancelling_a_task_cancels_what_it_has_added() -> None:
    workers = started({"root": ("hand on", LEAF)})
    workers.act(only(workers))
    workers(Cancel((ROOT.key,)))
    assert workers.states() == {"root": "cancelled", "after": "cancelled"}
    assert len(workers.of(Interrupt)) == 1


def test_what_another_task_needs_as_well_is_not_cancelled() -> None:
    second = job("second")
    workers = started({"root": ("hand on", LEAF), "second": ("hand on", LEAF)}, ROOT, second)
    workers(LeaseJoined("l2", "w2"))
    for serial in workers.in_hand():
        workers.act(serial)
    workers(Cancel((ROOT.key,)))
    workers.finish()
    assert workers.states() == {"root": "cancelled", "second": "stored"}


def test_cancelling_takes_away_whole_families() -> None:
    workers = started({"root": ("hand on", LEAF, OTHER, JOIN), "leaf": ("leave", AFTER)}, ROOT)
    workers.act(only(workers))
    workers(Cancel((ROOT.key,)))
    workers.finish()
    assert workers.states() == {"root": "cancelled"}


def test_a_task_that_hands_on_to_itself_is_refused() -> None:
    workers = started({"root": ("hand on", LEAF), "leaf": ("hand on", ROOT)})
    workers.finish()
    (failed,) = workers.events(TaskFailed)[:1]
    assert "waits for that very output" in failed.failure.message
    assert workers.states() == {"root": "error", "after": "cancelled"}


def test_a_child_that_the_store_knows_is_not_computed() -> None:
    workers = started({"root": ("hand on", LEAF, OTHER, JOIN)})
    workers.records[JOIN.key] = Record(JOIN.key, "r", "join", (), (), (("y", value("join")),))
    workers.finish()
    assert workers.content(ROOT) == "c-join"
    assert "join" not in workers.bodies


def test_equal_children_of_several_parents_are_one() -> None:
    second = job("second")
    workers = started({"root": ("hand on", LEAF), "second": ("hand on", LEAF)}, ROOT, second)
    workers.finish()
    assert sorted(workers.bodies) == ["leaf", "root", "second"]
    workers(Submit((job("third"),), {}))
    workers.programs["third"] = ("hand on", LEAF)
    workers.finish()
    # It was dropped, and is remembered by what it read.
    assert workers.bodies.count("leaf") == 1


def test_children_nobody_waits_for_run_all_the_same() -> None:
    workers = started({"root": ("leave", LEAF)})
    workers.finish()
    assert "leaf" in workers.bodies
    assert workers.states() == {"root": "stored", "after": "stored"}


# -- after a crash -----------------------------------------------------------------------------


def resumed(before: Workers, snapshot: Snapshot, *jobs: Job) -> Workers:
    """Start anew with what was durable and noted."""
    after = Workers(before.programs)
    after(LeaseJoined("l1", "w1"), Submit(jobs, {}, "", (snapshot,)))
    return after


def test_a_chain_goes_on_where_it_was_noted_to_be() -> None:
    steps = [job(f"step{i}") for i in range(20)]
    programs = {s.name: ("hand on", n) for s, n in pairwise(steps)}
    workers = started(programs, steps[0])
    for _ in range(10):
        workers.act(only(workers))
    assert not workers.of(Note)
    workers(Tick(), after=SOON)
    workers(Tick(), after=SOON)
    (note,) = workers.of(Note)
    assert {one.job.name for one in note.snapshot.grown} == {"step0", "step10"}
    after = resumed(workers, note.snapshot, steps[0])
    assert after.graph.tasks[steps[0].key].state == "waiting"
    after.finish()
    assert after.content(steps[0]) == "c-step19"
    assert after.bodies == [f"step{i}" for i in range(10, 20)]
    assert not after.graph.live.growing


def test_what_is_noted_waits_for_what_was_given_to_be_durable() -> None:
    reader = job("reader", source_key(value("given by root").id))
    workers = started({"root": ("give", reader), "reader": ("hand on", LEAF)}, ROOT)
    parent = only(workers)
    workers.act(parent)
    workers(Tick(), after=SOON)
    assert not workers.of(Note)
    workers(Durable(parent), Tick(), after=4 * SOON)
    workers(Tick(), after=4 * SOON)
    (note,) = workers.of(Note)
    after = resumed(workers, note.snapshot, ROOT)
    after.finish()
    assert after.bodies == ["reader", "leaf"]


# -- any script ------------------------------------------------------------------------------------

KINDS = st.sampled_from(["value", "hand on", "join", "wait", "give", "leave", "fail"])


@st.composite
def programs(draw) -> tuple[list[Job], dict[str, tuple]]:
    """Make jobs, each of which adds some of the later ones."""
    count = draw(st.integers(1, 7))
    retries = [draw(st.integers(0, 1)) for _ in range(count)]
    jobs = [job(f"t{i}", retries=retries[i]) for i in range(count)]
    found: dict[str, tuple] = {}
    for i, one in enumerate(jobs):
        later, kind = jobs[i + 1 :], draw(KINDS)
        if kind in ("fail", "value") or not later:
            found[one.name] = ("fail" if kind == "fail" else "value",)
        elif kind == "join":
            parts = draw(st.lists(st.sampled_from(later), unique_by=id, min_size=1, max_size=3))
            joint = job(f"join{i}", *[out(part) for part in parts])
            found[one.name] = ("hand on", *parts, joint)
        elif kind == "give":
            reader = job(f"reader{i}", source_key(value(f"given by {one.name}").id))
            found[one.name] = ("give", reader)
        else:
            found[one.name] = (kind, draw(st.sampled_from(later)))
    return jobs, found


def outcome(job: Job, programs: dict[str, tuple]) -> str | None:
    """Return the content that a job comes to, or None if it must fail."""
    kind, *children = programs.get(job.name, ("value",))
    results = [outcome(child, programs) for child in children]
    if kind == "fail" or (kind != "leave" and None in results):
        return None
    return results[-1] if kind in ("hand on", "give") else f"c-{job.name}"


def crash(before: Workers, tops: list[Job]) -> Workers:
    """Lose all but what is durable and noted, and start anew."""
    live = before.graph.live
    noted = [snapshot(live, n) for n in live.tasks.values() if n.delegates and not n.root]
    after = Workers(before.programs)
    after(Submit(tuple(tops), {}, "", tuple(filter(None, noted))))
    return after


@settings(max_examples=400, deadline=None)
@given(made=programs(), data=st.data(), shared=st.booleans())
def test_any_script_comes_to_what_the_programs_say(made, data, shared) -> None:
    jobs, found = made
    workers = Workers(found, shared)
    tops = data.draw(st.lists(st.sampled_from(jobs), unique_by=id, min_size=1, max_size=3))
    workers(Submit(tuple(tops), {}))
    cancelled, lost = False, 0
    for born in range(data.draw(st.integers(1, 25))):
        step = data.draw(st.integers(0, 9))
        hands, writing = workers.in_hand(), workers.writing()
        if step <= 1 or not workers.graph.leases:
            workers(LeaseJoined(f"l{born}", data.draw(st.sampled_from(["w1", "w2"]))))
        elif step == 2:
            worker = data.draw(st.sampled_from(sorted(workers.graph.machines)))
            lost += 1
            workers(WorkerLost(worker, "died"))
        elif step == 3:
            workers(LeaseEnded(data.draw(st.sampled_from(sorted(workers.graph.leases)))))
        elif step == 4:
            workers(Tick(), after=data.draw(st.sampled_from([0.01, 2.0])))
        elif step == 5 and data.draw(st.integers(0, 3)) == 0:
            cancelled = True
            workers(Cancel((data.draw(st.sampled_from(tops)).key,)))
        elif step == 6 and writing:
            workers(Durable(data.draw(st.sampled_from(writing))))
        elif hands:
            workers.act(data.draw(st.sampled_from(hands)))
    if shared and not cancelled and data.draw(st.booleans()):
        workers = crash(workers, tops)
    workers(LeaseJoined("last", "w9"))
    workers.finish()
    nodes = workers.graph.tasks
    assert not workers.graph.live.children, workers.states()
    for top in tops:
        state, expected = nodes[top.key].state, outcome(top, found)
        assert state in FINAL
        if not cancelled and lost < DEATHS and state not in ("stored", "cached"):
            assert expected is None, (top, state, nodes[top.key].why)
        if state in ("stored", "cached"):
            assert workers.content(top) == expected
    left = {data for top in tops for data in (out(top), *nodes[top.key].given)}
    assert set(workers.graph.values.data) <= left
