"""The fold of events: any prefix gives a valid state, and batching does not matter."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from jupyter_wf.events import (
    FINAL,
    Event,
    Failure,
    TaskCached,
    TaskChanged,
    TaskComputed,
    TaskFailed,
    TaskLog,
    TaskProgress,
    TasksSpawned,
    WorkerChanged,
    WorkerSample,
)
from jupyter_wf.records import Stored
from jupyter_wf.status import LOG_LINES, Status

OUTPUT = (("x", Stored("a" * 40, "json", 3, "42")),)
KEYS = st.sampled_from(["k1", "k2", "k3"])
TIMES = st.floats(1, 1e9)
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(
        TaskChanged,
        TIMES,
        KEYS,
        st.sampled_from(
            ["waiting", "ready", "running", "stored", "cached", "error", "cancelled"],
        ),
    ),
    st.builds(TaskComputed, TIMES, KEYS, st.just("w"), st.just(1), TIMES, st.just(OUTPUT)),
    st.builds(TaskCached, TIMES, KEYS, st.just(OUTPUT), st.text(max_size=5)),
    st.builds(TaskFailed, TIMES, KEYS, st.just("w"), st.just(1), st.just(Failure("E", "m", ""))),
    st.builds(TaskLog, TIMES, KEYS, st.just("stdout"), st.text(max_size=5)),
    st.builds(TaskProgress, TIMES, KEYS, TIMES, TIMES),
    st.builds(TasksSpawned, TIMES, KEYS, st.just((("k2", "two"), ("k4", "four")))),
    st.builds(WorkerChanged, TIMES, st.just("w"), st.sampled_from(["joined", "left", "suspect"])),
    st.builds(WorkerSample, TIMES, st.just("w"), st.just(0.5), st.just(100)),
)


def seen(status: Status) -> tuple[object, object]:
    return dict(status.tasks), dict(status.workers)


@given(st.lists(EVENTS, max_size=30), st.lists(st.integers(0, 30), max_size=5))
def test_batching_does_not_matter(events: list[Event], cuts: list[int]) -> None:
    one, many = Status(), Status()
    one.fold(events)
    edges = sorted({0, len(events), *(min(cut, len(events)) for cut in cuts)})
    for start, end in itertools.pairwise(edges):
        many.fold(events[start:end])
    assert seen(one) == seen(many)


@given(st.lists(EVENTS, max_size=30))
def test_a_settled_task_has_an_outcome(events: list[Event]) -> None:
    status = Status()
    for event in events:
        status.fold([event])
        for task in status.tasks.values():
            assert task.settled == (task.computed or task.state in FINAL)
            assert not task.computed or task.outputs


def test_a_task_from_start_to_end() -> None:
    status = Status()
    status.fold([TaskChanged(1.0, "k", "ready"), TaskChanged(2.0, "k", "running", "w", 1)])
    status.fold([TaskLog(2.1, "k", "stdout", "hello"), TaskProgress(2.2, "k", 1, 2, "half")])
    task = status.tasks["k"]
    assert (task.state, task.started, task.worker, task.settled) == ("running", 2.0, "w", False)
    assert list(task.log) == [("stdout", "hello")]
    assert task.progress == (1, 2, "half")
    status.fold([TaskComputed(3.0, "k", "w", 1, 0.9, OUTPUT, cpu=0.8)])
    assert task.settled
    assert task.state == "running"
    status.fold([TaskChanged(3.1, "k", "stored")])
    assert (task.state, task.seconds, task.outputs["x"].summary) == ("stored", 0.9, "42")


def test_a_task_taken_on_anew_forgets_the_time_before() -> None:
    status = Status()
    status.fold([TaskFailed(1.0, "k", "w", 1, Failure("ValueError", "no", ""))])
    assert status.tasks["k"].state == "error"
    status.fold([TaskChanged(2.0, "k", "ready")])
    assert status.tasks["k"].failure is None


def test_the_log_is_bounded() -> None:
    status = Status()
    status.fold([TaskLog(1.0, "k", "stdout", str(i)) for i in range(LOG_LINES + 10)])
    assert len(status.tasks["k"].log) == LOG_LINES
    assert status.tasks["k"].log[-1] == ("stdout", str(LOG_LINES + 9))


def test_a_worker_that_left_is_gone() -> None:
    status = Status()
    status.fold([WorkerChanged(1.0, "w", "joined", "one"), WorkerSample(1.5, "w", 0.5, 10, 100)])
    assert status.workers["w"].name == "one"
    assert list(status.workers["w"].history) == [(1.5, 0.5, 10)]
    status.fold([WorkerChanged(2.0, "w", "left")])
    assert status.workers == {}


def test_added_tasks_count_at_the_top_and_only_the_newest_are_kept() -> None:
    status = Status(keep=2)
    status.fold([TaskChanged(1.0, "top", "running", "w", 1)])
    status.fold([TasksSpawned(2.0, "top", (("a", "f-1"), ("b", "f-2")))])
    status.fold([TasksSpawned(3.0, "a", (("c", "C"),))])
    top = status.tasks["top"]
    assert (top.added, top.ended) == (3, 0)
    assert dict(top.kinds) == {"f": 2, "C": 1}
    assert [(status.tasks[key].name, status.tasks[key].root) for key in "abc"] == [
        ("f-1", "top"),
        ("f-2", "top"),
        ("C", "top"),
    ]
    status.fold([TaskChanged(4.0, key, "stored") for key in "abc"])
    assert (top.added, top.ended) == (3, 3)
    assert set(status.tasks) == {"top", "b", "c"}


def test_what_is_asked_for_at_the_top_is_not_forgotten() -> None:
    status = Status(keep=2)
    status.fold([TasksSpawned(1.0, "top", tuple((key, f"f-{key}") for key in "abcde"))])
    status.fold([TaskChanged(2.0, "a", "stored")])
    status.expect("a")
    status.expect("b")
    status.fold([TaskChanged(3.0, "b", "waiting"), TaskCached(4.0, "b", (), "")])
    status.fold([TaskChanged(5.0, key, "stored") for key in "cde"])
    assert status.tasks["top"].ended == 5
    assert set(status.tasks) == {"top", "a", "b", "d", "e"}


def test_a_task_that_has_handed_its_output_on_keeps_what_it_wrote() -> None:
    status = Status()
    status.fold([TaskChanged(1.0, "k", "running", "w", 1), TaskLog(2.0, "k", "stdout", "text")])
    status.fold([TaskChanged(3.0, "k", "waiting", "", 1, "handed on to `x`")])
    assert list(status.tasks["k"].log) == [("stdout", "text")]
    assert status.tasks["k"].started == 1.0
