"""Tasks that invoke tasks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from jupyter_wf.pymonik import (
    Pymonik,
    PymonikContext,
    Task,
    TaskOptions,
    task,
)


@task
def add_one(a: int) -> int:
    return a + 1


@task
def add_by_ones(a: int, b: int) -> Any:
    if a <= 0:
        return b
    b_plus_one = add_one.invoke(b)
    return add_by_ones.invoke(a - 1, b_plus_one, delegate=True)


@task
def concatenate(first: Any, second: Any) -> Any:
    return np.concatenate([first, second])


@task(require_context=True)
def vector_add(ctx: PymonikContext, a: Any, b: Any) -> Any:
    assert ctx.task_handler is not None
    if a.size <= 512:
        return a + b
    half = a.size // 2
    first = vector_add.invoke(a[:half], b[:half], pmk_partition_id="other")
    second = vector_add.invoke(a[half:], b[half:], pmk_partition_id="other")
    return concatenate.invoke(first, second, delegate=True)


@task
def fibonacci(n: int) -> Any:
    if n < 2:
        return n
    return Task(sum, func_name="sum").invoke(fibonacci.map_invoke([(n - 1,), (n - 2,)]))


@task
def hand_on_without_return(x: int) -> None:
    add_one.invoke(x, delegate=True)


@task
def hand_on_many(n: int) -> Any:
    return add_one.map_invoke([(i,) for i in range(n)])


@task
def hand_on_as_one_of_many(n: int) -> Any:
    return add_one.map_invoke([(n,)], delegate=True)


@task
def wait_inside(n: int) -> int:
    return int(sum(add_one.map_invoke([(i,) for i in range(n)]).wait().get()))


@task(require_context=True)
def look_up(ctx: PymonikContext, result_id: str) -> Any:
    return ctx.retrieve_object(result_id)


@task
def pass_an_id() -> Any:
    return look_up.invoke(add_one.invoke(41).result_id)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        pytest.param(lambda: add_by_ones.invoke(8, 2), 10, id="listing"),
        pytest.param(lambda: fibonacci.invoke(7), 13, id="a call that is returned is handed on"),
        pytest.param(lambda: hand_on_without_return.invoke(1), 2, id="delegated, not returned"),
        pytest.param(lambda: hand_on_many.invoke(3), [1, 2, 3], id="many are a list"),
        pytest.param(lambda: hand_on_many.invoke(1), [1], id="one of many is a list"),
        pytest.param(lambda: hand_on_many.invoke(0), [], id="none of many is a list"),
        pytest.param(lambda: hand_on_as_one_of_many.invoke(1), 2, id="one of many, delegated"),
        pytest.param(lambda: wait_inside.invoke(4), 10, id="waiting"),
        pytest.param(pass_an_id.invoke, 42, id="an id"),
    ],
)
def test_a_task_invokes_tasks(session: Pymonik, call: Any, expected: Any) -> None:
    assert call().wait().get() == expected


def test_vectors_are_split_until_they_are_small() -> None:
    a, b = np.arange(4096), np.arange(4096) * 2
    with Pymonik(local_session=True, partition=["main", "other"]):
        found = (
            vector_add.invoke(a, b, task_options=TaskOptions(timedelta(hours=1), 1, 2)).wait().get()
        )
    assert np.array_equal(found, a + b)


@task
def draw() -> float:
    import random

    return random.random()


@task
def draw_twice() -> Any:
    return Task(lambda *drawn: drawn, func_name="pair").invoke(draw.invoke(), draw.invoke())


def test_each_invocation_in_a_task_is_one_of_its_own(session: Pymonik) -> None:
    drawn = [value for pair in draw_twice.map_invoke([()] * 3).get() for value in pair]
    assert len(set(drawn)) == 6
