from __future__ import annotations

import pytest

from jupyter_wf.engine.machines import Machine
from jupyter_wf.engine.packing import (
    AHEAD,
    MOST,
    PATIENCE,
    UNKNOWN,
    Lease,
    assign,
    assign_next,
)
from jupyter_wf.engine.ready import Ready
from jupyter_wf.engine.turns import Turns
from jupyter_wf.resources import Amounts, Offer

ONE = Offer(1000)
TASK = Amounts(1000)


def machines(*offers: Offer, partition: str | None = None) -> list[Machine]:
    return [Machine(f"w{i}", partition, offer) for i, offer in enumerate(offers)]


def packed(
    tasks,
    leases,
    seconds=UNKNOWN,
    need=TASK,
    partition=None,
    weigh=lambda task: {},
    priorities=None,
):
    ready, bound = Ready(), {}
    for order, task in enumerate(tasks):
        ready.add((-(priorities or {}).get(task, 0), order), task, (partition, need))
    serials = iter(range(10**6))

    def bind(task, lease, expected, vector) -> None:
        lease.take(next(serials), expected, vector)
        bound.setdefault(lease.nonce, []).append(task)

    pooled = any(lease.machine.partition for lease in leases)
    assign(ready, leases, lambda task: seconds, weigh, bind, Turns(), pooled, 0.0)
    return bound, ready


def leases_on(found: list[Machine], each: int = 1) -> list[Lease]:
    return [Lease(f"{machine.name}-{i}", machine) for machine in found for i in range(each)]


def test_what_has_priority_goes_first() -> None:
    bound, _ = packed("abcde", leases_on(machines(ONE, ONE)), priorities={"d": 2, "b": 1, "a": -1})
    assert bound == {"w0-0": ["d"], "w1-0": ["b"]}


def test_unknown_tasks_go_one_to_a_lease() -> None:
    bound, ready = packed("abcde", leases_on(machines(ONE, ONE)))
    assert bound == {"w0-0": ["a"], "w1-0": ["b"]}
    assert len(ready) == 3


def test_short_tasks_go_in_batches_and_long_ones_wait() -> None:
    many = [str(i) for i in range(1000)]
    bound, _ = packed(many, leases_on(machines(ONE, ONE)), seconds=1e-3)
    sizes = [len(tasks) for tasks in bound.values()]
    assert sizes == [20, 20]
    assert AHEAD / 1e-3 == 20
    bound, _ = packed(many, leases_on(machines(ONE, ONE)), seconds=1.0)
    assert [len(tasks) for tasks in bound.values()] == [1, 1]
    bound, _ = packed(many, leases_on(machines(ONE)), seconds=1e-9)
    assert len(bound["w0-0"]) == MOST


def test_few_short_tasks_are_spread() -> None:
    bound, _ = packed("abcd", leases_on(machines(ONE, ONE)), seconds=1e-4)
    assert sorted(len(tasks) for tasks in bound.values()) == [2, 2]


def test_a_task_goes_where_its_large_inputs_are() -> None:
    bound, _ = packed(
        "ab", leases_on(machines(ONE, ONE)), weigh=lambda task: {"w1": 10**9} if task == "a" else {}
    )
    assert bound == {"w1-0": ["a"], "w0-0": ["b"]}


def test_a_suspect_worker_is_given_nothing() -> None:
    found = machines(ONE, ONE)
    found[0].suspect = True
    bound, ready = packed("ab", leases_on(found), seconds=1.0)
    assert bound == {"w1-0": ["a"]}
    assert len(ready) == 1


def test_partitions_are_kept_apart_where_there_are_any() -> None:
    found = [*machines(ONE, partition="cpu"), Machine("g", "gpu", ONE)]
    bound, _ = packed("ab", leases_on(found), partition="gpu")
    assert bound == {"g-0": ["a"]}
    bound, _ = packed("ab", leases_on(machines(ONE, ONE)), partition="gpu")
    assert len(bound) == 2


def test_more_cores_than_a_worker_has_take_all_of_them() -> None:
    found = machines(Offer(2000))
    bound, _ = packed("ab", leases_on(found, each=2), need=Amounts(9000))
    assert bound == {"w0-0": ["a"]}


def bound_next(lease: Lease, tasks: dict[str, int], need=TASK, partition=None) -> list[str]:
    """Return what is bound to a lease beside what it runs, of tasks with so many bytes to come."""
    ready, bound = Ready(), []
    for order, task in enumerate(tasks):
        ready.add((0, order), task, (partition, need))

    def bind(task, to, seconds, vector) -> None:
        to.take(100 + len(bound), seconds, vector)
        bound.append(task)

    pooled = lease.machine.partition is not None
    assign_next(ready, [lease], lambda _: 9.0, lambda task, _: tasks[task], bind, pooled)
    assert len(ready) == len(tasks) - len(bound)
    return bound


def test_the_next_task_is_handed_over_early_if_its_inputs_take_long_to_come() -> None:
    far, near = 10**8, 10
    busy = leases_on(machines(ONE, partition="cpu"))[0]
    assert bound_next(busy, {"a": far}) == []
    busy.take(0, 9.0, TASK)
    assert bound_next(busy, {"a": near, "b": far}) == []
    assert bound_next(busy, {"a": far}, need=Amounts(500)) == []
    assert bound_next(busy, {"a": far}, partition="gpu") == []
    busy.machine.suspect = True
    assert bound_next(busy, {"a": far}) == []
    busy.machine.suspect = False
    assert bound_next(busy, {"a": far, "b": far}, partition="cpu") == ["a"]
    assert bound_next(busy, {"a": far}) == []


@pytest.mark.parametrize(
    ("hands", "ran", "room"),
    [
        ([1.0], 0.0, False),
        ([1.0], 1 - 2 * AHEAD, False),
        ([1.0], 1 - AHEAD / 2, True),
        ([1.0], 1 + PATIENCE / 2, True),
        ([1.0], 1 + 2 * PATIENCE, False),
        ([1.0, 1.0], 1 - AHEAD / 2, False),
        ([1.0, AHEAD / 2], 1 - AHEAD / 4, True),
        ([AHEAD / 4], 0.0, True),
        ([AHEAD / 4] * 3, 2 * PATIENCE, False),
        ([UNKNOWN], 9.0, False),
    ],
)
def test_a_lease_has_room_when_what_it_holds_is_about_to_end(hands, ran, room) -> None:
    (lease,) = leases_on(machines(ONE))
    lease.since = 100.0
    for serial, seconds in enumerate(hands):
        lease.take(serial, seconds, TASK)
    assert lease.room(TASK, 100.0 + ran) == room
