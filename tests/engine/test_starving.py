"""A task that ran out of memory gets more of it, and in the end an error that says how much."""

from __future__ import annotations

import pytest

from jupyter_wf.engine.signals import Failed, Finished, LeaseJoined, Submit, WorkerLost
from jupyter_wf.engine.state import LiveGraph
from jupyter_wf.engine.testing import Watch, cell
from jupyter_wf.events import Failure, TaskChanged
from jupyter_wf.records import Stored
from jupyter_wf.requirements import kinds_of
from jupyter_wf.resources import Device, Offer

RAN_OUT = Failure("MemoryError", "", "")


def joined(name: str, memory: int, slots: int = 1) -> list[LeaseJoined]:
    offer = Offer(1000 * slots, (Device(f"{name}/0", "0", 16_000),), memory)
    return [LeaseJoined(f"{name}-{i}", name, None, offer) for i in range(slots)]


class Play:
    def __init__(self, *leases: LeaseJoined, **asked) -> None:
        self.graph, self.now = LiveGraph(lambda _: None), 0.0
        self.job = cell("x = 1", name="t", outputs=["x"], **asked)
        self(*leases)
        self(Submit((self.job,), {}))

    def __call__(self, *stimuli) -> None:
        self.now += 1
        self.graph.handle(self.now, *stimuli)
        self.graph.validate()

    @property
    def node(self):
        return self.graph.tasks[self.job.key]

    def fail(self, error: type[BaseException] = MemoryError, failure: Failure = RAN_OUT) -> None:
        self(Failed(self.node.lease, self.node.serial, failure, kinds_of(error)))

    def reserved(self) -> int:
        return self.graph.leases[self.node.lease].need.memory


@pytest.mark.parametrize(
    ("asked", "reserved"),
    [(0, [0, 4000, 8000, 12_000]), (1000, [1000, 2000, 4000, 8000, 12_000]), (12_000, [12_000])],
)
def test_what_is_reserved_doubles_up_to_the_largest_worker(asked, reserved) -> None:
    play, found = Play(*joined("w", 8000, 4), *joined("v", 12_000, 1), memory=asked), []
    while play.node.state == "running":
        found.append(play.reserved())
        play.fail()
    assert found == reserved
    assert play.node.state == "error"
    assert play.node.failures == 0
    assert f"{len(found)} times, the last with 12,000 MB reserved" in play.node.why


def test_a_worker_that_dies_of_its_memory_costs_no_death_and_no_retry() -> None:
    play = Play(*joined("w", 4000), *joined("v", 9000))
    first = play.node.worker
    play(WorkerLost(first, "it used up its memory", starved=True))
    assert (play.node.deaths, play.node.failures, play.node.starved) == (0, 0, 1)
    assert play.node.state in {"running", "ready"}
    if first == "v":
        play(*joined("u", 9000))
    assert play.reserved() in {8000, 9000}
    assert "tried again with" in play.node.why or play.node.state == "running"
    play(Finished(play.node.lease, play.node.serial, (Stored("c", "json", 1),), 1.0))
    assert play.node.accepted


def test_the_memory_of_a_device_is_another_matter() -> None:
    class OutOfMemoryError(RuntimeError):
        pass

    play = Play(*joined("w", 8000, 4), gpu=250)
    play.fail(OutOfMemoryError)
    assert play.graph.leases[play.node.lease].need.gpu_memory == 8000
    play.fail(RuntimeError, Failure("XlaRuntimeError", "RESOURCE_EXHAUSTED: Out of memory", ""))
    assert play.graph.leases[play.node.lease].need.gpu_memory == 16_000
    play.fail(OutOfMemoryError)
    assert "the largest device has" in play.node.why


def test_where_nobody_says_what_memory_there_is_it_is_a_failure_like_others() -> None:
    play = Play(LeaseJoined("l", "w"), retries=1, retry_delay=0.0)
    play.fail()
    assert (play.node.state, play.node.failures) == ("running", 1)
    play = Play(*joined("w", 8000), no_retry_on=("MemoryError",))
    play.fail()
    assert play.node.state == "error"


@pytest.mark.slow
def test_a_task_that_its_nanny_kills_is_tried_with_more(tmp_path) -> None:
    from jupyter_wf.engine.dask import DaskEngine
    from jupyter_wf.engine.store import open_store

    partitions = {"small": {"memory": "400MB"}, "large": {"memory": "1600MB"}}
    engine, watch = DaskEngine(workers=0, partitions=partitions), Watch()
    engine.start(open_store(tmp_path))
    engine.subscribe(watch)
    # It fits into the one, not into the other; it asks for what either has. A nanny looks ten times
    # a second how much it takes.
    body = "import time, numpy\nx = numpy.ones({} * 125_000)\ntime.sleep({})\nx = x.nbytes"
    fits = cell(body.format(700, 2), name="fits", outputs=["x"], memory=300)
    engine.submit([fits], {})
    assert watch.end(fits) == ["stored"]
    too_much = cell(body.format(1700, 600), name="much", outputs=["x"], partition="small")
    engine.submit([too_much], {})
    assert watch.end(too_much) == ["error"]
    assert "the last with 400 MB reserved, which is all" in watch.why(too_much)
    assert all(e.attempt <= 3 for e in watch.of(too_much, TaskChanged))
    engine.close()
