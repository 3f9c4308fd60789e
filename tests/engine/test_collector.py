"""How often Python looks for garbage while tasks are under way."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

import jupyter_wf as wf
from jupyter_wf.engine.collector import RARELY, Collector

USUAL = (700, 10, 10)


@pytest.fixture(autouse=True)
def usual() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(*USUAL)
    yield
    gc.set_threshold(*before)


@pytest.mark.parametrize(
    ("before", "busy"),
    [(USUAL, (RARELY, 10, 10)), ((0, 10, 10), (0, 10, 10)), ((50_000, 5, 5), (50_000, 5, 5))],
    ids=["usual", "never", "more rarely still"],
)
def test_it_looks_rarely_and_then_as_before(
    before: tuple[int, int, int], busy: tuple[int, int, int]
) -> None:
    gc.set_threshold(*before)
    collector = Collector()
    collector.enter()
    assert gc.get_threshold() == busy
    collector.leave()
    assert gc.get_threshold() == before


def test_the_last_one_who_is_busy_puts_it_back() -> None:
    collector = Collector()
    collector.enter()
    collector.enter()
    collector.leave()
    assert gc.get_threshold()[0] == RARELY
    collector.leave()
    assert gc.get_threshold() == USUAL


def test_what_somebody_else_sets_meanwhile_stays() -> None:
    collector = Collector()
    collector.enter()
    gc.set_threshold(5, 5, 5)
    collector.leave()
    assert gc.get_threshold() == (5, 5, 5)


def test_it_looks_rarely_while_an_engine_is_busy() -> None:
    @wf.task
    def seen() -> int:
        import gc

        return gc.get_threshold()[0]

    with wf.Workflow(wf.LocalEngine(), "memory://") as flow:
        assert seen.invoke().get() == RARELY
        flow.flush()
        assert gc.get_threshold() == USUAL
