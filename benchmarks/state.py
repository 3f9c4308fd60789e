"""How many tasks a second the live graph alone can commit: scripts of events, without any I/O.

A virtual cluster answers each order at once: all of a batch is computed and durable in one go, as
workers that are much faster than the graph would have it. The seconds are those of this process's
processor time, so that what else the machine does hardly matters, with Python's collector as an
engine that is busy sets it.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable

from benchmarks.harness import Table, report
from jupyter_wf.engine.abc import Job
from jupyter_wf.engine.collector import collector
from jupyter_wf.engine.packing import AHEAD
from jupyter_wf.engine.signals import (
    Durable,
    Emit,
    Finished,
    HandOver,
    LeaseJoined,
    Stimulus,
    Submit,
)
from jupyter_wf.engine.state import LiveGraph
from jupyter_wf.fingerprint import data_key
from jupyter_wf.graph import Code
from jupyter_wf.records import Stored
from jupyter_wf.requirements import Requirements

TASKS = 30_000
LEASES = 8
ROUNDS = 5
SECONDS = 1e-4


def main() -> None:
    """Measure and report."""
    table = Table()
    for name, make in SHAPES.items():
        samples = [committed(make(TASKS)) for _ in range(ROUNDS)]
        best, commits, orders, events = min(samples)
        table.add(
            name,
            tasks=commits,
            seconds=best,
            per_second=commits / best,
            microseconds=1e6 * best / commits,
            messages=orders,
            events=events,
        )
    collector.enter()
    steps = [stepwise(TASKS) for _ in range(ROUNDS)]
    collector.leave()
    for name, *seconds in zip(STEPS, *steps, strict=True):
        best = min(seconds)
        table.add(
            name,
            tasks=TASKS,
            seconds=best,
            per_second=TASKS / best,
            microseconds=1e6 * best / TASKS,
        )
    report(
        "state",
        table,
        [
            f"{LEASES} leases on {LEASES // 2} workers; best of {ROUNDS}, processor time",
            "by shape: a task's whole life, from submission over its attempt to durable",
            "by step, of independent tasks: what each of the three costs alone; events included",
        ],
    )


#: The steps of a task's life: taken on, looked up and handed over; its answer accepted; durable.
STEPS = ("to hand over", "to commit", "to be durable")


def stepwise(count: int) -> tuple[float, ...]:
    """Return the seconds that each step takes for `count` independent tasks, a few at a time."""
    graph = LiveGraph(lambda _: None)
    graph.handle(0.0, *[LeaseJoined(f"l{i}", f"w{i // 2}") for i in range(LEASES)])
    graph.live.durations.learn(CODE.fingerprint, SECONDS)
    seconds, few = [0.0] * len(STEPS), LEASES * int(AHEAD / SECONDS / 4)
    jobs = independent(count)
    for now, first in enumerate(range(0, count, few), 1):
        start = time.process_time()
        orders = graph.handle(float(now), Submit(tuple(jobs[first : first + few]), {}))
        seconds[0] += time.process_time() - start
        handed = [order for order in orders if type(order) is HandOver]
        for step, stimuli in enumerate((_finished(handed), _durable(handed)), 1):
            start = time.process_time()
            graph.handle(float(now), *stimuli)
            seconds[step] += time.process_time() - start
    assert {node.state for node in graph.tasks.values()} == {"stored"}
    return tuple(seconds)


def _finished(handed: list[HandOver]) -> list[Stimulus]:
    return [
        Finished(
            order.nonce,
            attempt.serial,
            (Stored(f"{attempt.job.key}-value", "json", 10),),
            SECONDS,
        )
        for order in handed
        for attempt in order.attempts
    ]


def _durable(handed: list[HandOver]) -> list[Stimulus]:
    return [Durable(attempt.serial) for order in handed for attempt in order.attempts]


def committed(jobs: Iterable[Job]) -> tuple[float, int, int, int]:
    """Play one script; return (seconds, commits, messages handed over, events)."""
    given = tuple(jobs)
    graph = LiveGraph(lambda _: None)
    joined = [LeaseJoined(f"l{i}", f"w{i // 2}") for i in range(LEASES)]
    gc.collect()
    collector.enter()
    handed = events = 0
    now, start = 1000.0, time.process_time()
    orders = graph.handle(now, *joined, Submit(given, {}))
    while True:
        batches = [order for order in orders if type(order) is HandOver]
        handed += len(batches)
        events += sum(len(order.events) for order in orders if type(order) is Emit)
        if not batches:
            break
        now += SECONDS
        orders = graph.handle(now, *_finished(batches), *_durable(batches))
    seconds = time.process_time() - start
    collector.leave()
    states = [node.state for node in graph.tasks.values()]
    assert set(states) == {"stored"}, set(states)
    return seconds, len(states), handed, events


# -- shapes ----------------------------------------------------------------------------------------

CODE = Code("function", "nothing", "", "nothing")


def _job(number: int, inputs: tuple[str, ...] = (), needs: Requirements | None = None) -> Job:
    key = f"task-{number}"
    slots = tuple([(f"in{i}", data) for i, data in enumerate(inputs)])
    outputs = (("result", data_key(key, "result")),)
    return Job(key, key, CODE, None, slots, outputs, needs or PLAIN)


PLAIN = Requirements(cache=False)


def independent(count: int) -> list[Job]:
    """Make tasks that read nothing."""
    return [_job(i) for i in range(count)]


def chains(count: int, number: int = 100) -> list[Job]:
    """Make chains in which each task reads the one before."""
    jobs: list[Job] = []
    for i in range(count):
        before = (jobs[i - number].outputs[0][1],) if i >= number else ()
        jobs.append(_job(i, before))
    return jobs


def fork_join(count: int, width: int = 100) -> list[Job]:
    """Make groups of tasks that read the end of the group before; one task reads all of a group."""
    jobs: list[Job] = []
    end: tuple[str, ...] = ()
    while len(jobs) + width + 1 <= count:
        group = [_job(len(jobs) + i, end) for i in range(width)]
        jobs += group
        jobs.append(_job(len(jobs), tuple([job.outputs[0][1] for job in group])))
        end = (jobs[-1].outputs[0][1],)
    return jobs


def mixed(count: int) -> list[Job]:
    """Make tasks of four different needs that read nothing."""
    kinds = [Requirements(cache=False, cpu=500, memory=100 * i) for i in range(4)]
    return [_job(i, needs=kinds[i % 4]) for i in range(count)]


SHAPES: dict[str, Callable[[int], list[Job]]] = {
    "independent": independent,
    "100 chains": chains,
    "fork-join by 100": fork_join,
    "four kinds of needs": mixed,
}

if __name__ == "__main__":
    main()
