"""Tasks that add tasks, on real engines: recursion, delegation, waiting, and what goes wrong."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import chain_program as chain
import numpy as np
import pytest

import jupyter_wf as wf
from jupyter_wf.engine.store import open_store
from jupyter_wf.engine.testing import wait_for_file, wait_until
from jupyter_wf.errors import CaptureError, TaskError, WorkflowError


@pytest.fixture(params=["local", pytest.param("dask", marks=pytest.mark.slow)])
def flow(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[wf.Workflow]:
    """Return a workflow on an engine of this kind."""
    engine = wf.LocalEngine() if request.param == "local" else wf.DaskEngine(workers=2)
    with wf.Workflow(engine, tmp_path / "store") as flow:
        yield flow


@wf.task
def add_one(a: int) -> int:
    return a + 1


@wf.task
def add(a: int, b: int) -> Any:
    if a <= 0:
        return b
    return add.invoke(a - 1, add_one.invoke(b), delegate=True)


@wf.task
def plus(a: float, b: float) -> float:
    return a + b


@wf.task
def fib(n: int) -> Any:
    if n < 2:
        return n
    return plus.invoke(fib.invoke(n - 1), fib.invoke(n - 2), delegate=True)


@wf.task
def waiting_fib(n: int) -> int:
    if n < 2:
        return n
    first, second = waiting_fib.invoke(n - 1), waiting_fib.invoke(n - 2)
    return int(first.get() + second.get())


@wf.task
def quadrature(low: float, high: float, tolerance: float) -> Any:
    """Integrate exp from low to high by Simpson's rule, in halves where it is not good enough."""

    def simpson(a: float, b: float) -> float:
        return (b - a) / 6 * (math.exp(a) + 4 * math.exp((a + b) / 2) + math.exp(b))

    middle = (low + high) / 2
    finer = simpson(low, middle) + simpson(middle, high)
    if abs(finer - simpson(low, high)) < 15 * tolerance:
        return finer
    return plus.invoke(
        quadrature.invoke(low, middle, tolerance / 2),
        quadrature.invoke(middle, high, tolerance / 2),
        delegate=True,
    )


@wf.task
def concatenate(*parts: Any) -> Any:
    return np.concatenate(parts)


@wf.task
def quicksort(values: Any) -> Any:
    if len(values) < 20_000:
        return np.sort(values)
    pivot = np.median(values[:101])
    return concatenate.invoke(
        quicksort.invoke(values[values < pivot]),
        values[values == pivot],
        quicksort.invoke(values[values > pivot]),
        delegate=True,
    )


@wf.task
def factor(a: Any) -> Any:
    return np.linalg.cholesky(a)


@wf.task
def solve(lower: Any, a: Any) -> Any:
    return np.linalg.solve(lower, a.T).T


@wf.task
def update(a: Any, left: Any, right: Any) -> Any:
    return a - left @ right.T


@wf.task
def assemble(tiles: Any, size: int) -> Any:
    step = len(tiles[0][0])
    full = np.zeros((size, size))
    for i, row in enumerate(tiles):
        for j, tile in enumerate(row):
            full[i * step : i * step + tile.shape[0], j * step : j * step + tile.shape[1]] = tile
    return full


@wf.task
def cholesky(a: Any) -> Any:
    """Factor a matrix by tiles whose size is chosen when it runs."""
    size = len(a)
    step = 50 if size > 100 else size
    count = -(-size // step)
    tiles: list[list[Any]] = [
        [a[i * step : (i + 1) * step, j * step : (j + 1) * step] for j in range(i + 1)]
        for i in range(count)
    ]
    for k in range(count):
        tiles[k][k] = factor.invoke(tiles[k][k])
        for i in range(k + 1, count):
            tiles[i][k] = solve.invoke(tiles[k][k], tiles[i][k])
            for j in range(k + 1, i + 1):
                tiles[i][j] = update.invoke(tiles[i][j], tiles[i][k], tiles[j][k])
    return assemble.invoke(tiles, size, delegate=True)


def test_a_listing_from_the_slides(flow: wf.Workflow) -> None:
    total = add.invoke(5, 1)
    # Submitted long before there is a value, it needs no worker until then.
    after = add_one.invoke(total)
    assert (total.get(), after.get()) == (6, 7)
    assert flow.engine.executions() == {"add": 6, "add_one": 5 + 1}
    assert add.invoke(3, 3).get() == 6


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: fib.invoke(15), 610),
        (lambda: waiting_fib.invoke(12), 144),
        (lambda: quadrature.invoke(0.0, 3.0, 1e-9), pytest.approx(math.exp(3) - 1, abs=1e-8)),
    ],
    ids=["fib", "waiting", "quadrature"],
)
def test_recursion(flow: wf.Workflow, make: Callable[[], Any], expected: Any) -> None:
    assert make().get() == expected
    assert flow.run().wait().state == "stored"


def test_arrays_go_from_task_to_task_without_a_copy_in_the_call(flow: wf.Workflow) -> None:
    values = np.random.default_rng(0).random(100_000)
    assert np.array_equal(quicksort.invoke(values).get(), np.sort(values))


def test_tiles_chosen_at_run_time(flow: wf.Workflow) -> None:
    rng = np.random.default_rng(1)
    square = rng.random((230, 230))
    matrix = square @ square.T + 230 * np.eye(230)
    lower = cholesky.invoke(matrix).get()
    assert np.allclose(lower @ lower.T, matrix)
    assert np.array_equal(lower, np.tril(lower))


def test_equal_calls_are_one_task(flow: wf.Workflow) -> None:
    assert fib.invoke(12).get() == 144
    assert flow.engine.executions()["fib"] == 13  # fib(0) … fib(12)


def test_all_is_durable_and_found_by_another_engine(tmp_path: Path) -> None:
    for expected in (6 + 5, 0):
        with wf.Workflow(wf.LocalEngine(), tmp_path / "store") as flow:
            assert add.invoke(5, 1).get() == 6
            flow.flush()
            assert sum(flow.engine.executions().values()) == expected


def test_where_another_version_stood_is_passed_over(
    flow: wf.Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(flow.store), "growth", lambda store, key: b"cno.such\nmodule\n.")
    assert add.invoke(5, 1).get() == 6
    assert flow.engine.executions() == {"add": 6, "add_one": 5}


def test_a_child_that_fails_is_the_failure_of_who_handed_on_to_it(flow: wf.Workflow) -> None:
    @wf.task
    def down(n: int) -> Any:
        return 1 / n if n == 0 else down.invoke(n - 1, delegate=True)

    with pytest.raises(TaskError, match="ZeroDivisionError") as caught:
        down.invoke(3).get()
    assert "return 1 / n" in str(caught.value)


def test_a_body_can_handle_the_failure_of_a_child(flow: wf.Workflow) -> None:
    @wf.task
    def bad() -> int:
        raise ValueError("no luck")

    @wf.task
    def brave() -> str:
        try:
            bad.invoke().get()
        except TaskError as error:
            return str(error).splitlines()[0]
        return "not raised"

    said = brave.invoke().get()
    assert said.startswith("Task 'bad-")
    assert said.endswith("ValueError: no luck")


def test_outputs_may_be_handed_on_one_by_one(flow: wf.Workflow) -> None:
    @wf.task(outputs=("near", "far"))
    def both(n: int) -> Any:
        return n, add_one.invoke(n)

    near, far = both.invoke(41)
    assert (near.get(), far.get()) == (41, 42)


def test_children_nobody_reads_run_all_the_same(flow: wf.Workflow, tmp_path: Path) -> None:
    @wf.task
    def mark(path: str) -> None:
        Path(path).touch()

    @wf.task
    def parent(path: str) -> int:
        mark.invoke(path)
        return 1

    done = tmp_path / "done"
    assert parent.invoke(str(done)).get() == 1
    wait_for_file(done)


def test_cells_hand_on_too(flow: wf.Workflow) -> None:
    from jupyter_wf.closure import cell_code
    from jupyter_wf.graph import Task

    code = cell_code("y = fib.invoke(10)", {"fib": fib}, label="y", filename="<cell>", first_line=1)
    (y,) = flow.define(Task("y", code, (), (("y", "y"),)))
    assert y.get() == 55


# -- what goes wrong -------------------------------------------------------------------------------


def test_delegate_is_for_running_tasks(flow: wf.Workflow) -> None:
    with pytest.raises(WorkflowError, match="none runs here"):
        add_one.invoke(1, delegate=True)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (lambda: [add_one.invoke(1)], "holds handles"),
        (lambda: add_one.invoke(1, 2), "too many positional"),
        (lambda: add_one.invoke(1).zarr(), "can't be opened"),
        (lambda: add_one.invoke(1) + 1, "is not computed"),
    ],
    ids=["in a list", "arguments", "zarr", "operator"],
)
def test_misuse_is_told(flow: wf.Workflow, body: Callable[[], Any], message: str) -> None:
    misuse = wf.task(body)
    with pytest.raises(TaskError, match=message):
        misuse.invoke().get()


def test_too_many_bodies_that_wait_are_told_to_hand_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jupyter_wf.engine.parking import Places

    monkeypatch.setattr(Places.__init__, "__defaults__", (3,))

    @wf.task
    def deep(n: int) -> int:
        return 0 if n == 0 else int(deep.invoke(n - 1).get()) + 1

    with wf.Workflow(wf.LocalEngine(), tmp_path / "store"):
        assert deep.invoke(3).get() == 3
        with pytest.raises(TaskError, match="delegate=True"):
            deep.invoke(9).get()


def test_a_captured_handle_is_refused(flow: wf.Workflow) -> None:
    handle = add_one.invoke(1)

    @wf.task
    def captures() -> Any:
        return handle

    with pytest.raises(CaptureError):
        captures.invoke()


@pytest.mark.slow
def test_after_a_crash_a_chain_goes_on_where_it_was(tmp_path: Path) -> None:
    log, half, go = (tmp_path / f"log{suffix}" for suffix in ("", ".half", ".go"))

    def start() -> subprocess.Popen[str]:
        command = [sys.executable, chain.__file__, str(tmp_path / "store"), str(log)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def noted() -> bool:
        store.refresh()
        packed = store.growth(key)
        grown = () if packed is None else pickle.loads(packed).grown
        return half.read_text() in {one.job.name for one in grown}

    with start() as first:
        assert first.stdout is not None
        key = first.stdout.readline().strip()
        store = open_store(tmp_path / "store")
        try:
            wait_for_file(half)
            wait_until(noted, "it is noted that the chain is half way")
        finally:
            first.kill()
    assert len(log.read_text().split()) == chain.LENGTH - chain.HALF + 1
    go.touch()
    with start() as second:
        assert second.stdout is not None
        assert second.stdout.read().split() == [key, "done"]
    times = Counter(map(int, log.read_text().split()))
    # Not one step but that which was under way was done again.
    assert times == Counter(range(chain.LENGTH + 1)) + Counter([chain.HALF])
    store.refresh()
    assert store.growth(key) is None
    store.close()
