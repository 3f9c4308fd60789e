from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from jupyter_wf.engine.abc import Engine, Store
from jupyter_wf.engine.breaker import Breaker, Stopped
from jupyter_wf.engine.local import LocalEngine
from jupyter_wf.engine.store import open_store
from jupyter_wf.engine.testing import PATIENCE, EngineTests, Watch, cell, out, wait_for_file
from jupyter_wf.events import TaskComputed, TaskFailed
from jupyter_wf.resources import all_of


class TestLocalEngine(EngineTests):
    @pytest.fixture
    def engine(self) -> Iterator[Engine]:
        engine = LocalEngine(2)
        yield engine
        engine.close()


class TestLocalEngineInMemory(TestLocalEngine):
    @pytest.fixture
    def store(self) -> Iterator[Store]:
        store = open_store("memory://")
        yield store
        store.close()


class SlowStore:
    """A store whose commits wait until they may."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.may = Event()

    def commit(self, batch: Any, owner: str = "") -> None:
        assert self.may.wait(PATIENCE)
        self._store.commit(batch)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def test_dependents_start_from_memory_while_the_store_is_slow() -> None:
    store = SlowStore(open_store("memory://"))
    engine, watch = LocalEngine(2), Watch()
    engine.start(store)
    engine.subscribe(watch)
    one = cell("x = 1", name="one", outputs=["x"])
    two = cell("y = x + 1", name="two", inputs=[("x", out(one))], outputs=["y"])
    engine.submit([one, two], {})
    watch.until(lambda: bool(watch.of(two, TaskComputed)))
    assert engine.value(out(two)) == 2
    assert [watch.state(one), watch.state(two)] == ["running", "running"]
    assert not engine.flush(0)
    store.may.set()
    assert watch.end(one, two) == ["stored", "stored"]
    engine.close()


def test_a_store_that_fails_is_the_task_s_error_and_spares_its_dependents() -> None:
    class Full(SlowStore):
        def commit(self, batch: Any, owner: str = "") -> None:
            if any(record.name == "one" for record, _ in batch):
                raise OSError("no space left")
            self._store.commit(batch)

    engine, watch = LocalEngine(2), Watch()
    engine.start(Full(open_store("memory://")))
    engine.subscribe(watch)
    one = cell("x = 1", name="one", outputs=["x"])
    two = cell("y = 2", name="two", outputs=["y"])
    engine.submit([one, two], {})
    assert watch.end(one, two) == ["error", "stored"]
    assert "no space left" in watch.of(one, TaskFailed)[0].failure.message
    engine.close()


def test_a_partition_with_a_device_takes_no_more_than_fits() -> None:
    engine, watch = LocalEngine(1, {"gpu": {"workers": 4, "gpu": 1}}), Watch()
    engine.start(open_store("memory://"))
    engine.subscribe(watch)
    source = (
        "import threading, builtins\n"
        "here = builtins.__dict__.setdefault('_wf_test_here', [])\n"
        "here.append(1)\nmost = len(here)\nthreading.Event().wait(0.02)\nhere.pop()\nx = (most, {})"
    )
    jobs = [
        cell(source.replace("{}", str(i)), name=f"g{i}", outputs=["x"], partition="gpu", gpu=500)
        for i in range(8)
    ]
    engine.submit(jobs, {})
    assert watch.end(*jobs) == ["stored"] * 8
    assert {e.worker for job in jobs for e in watch.of(job, TaskComputed)} == {"local/gpu"}
    assert max(engine.value(out(job))[0] for job in jobs) <= 2
    engine.close()


def test_a_cancelled_thread_in_a_long_call_is_replaced(tmp_path: Path) -> None:
    flag = tmp_path / "began"
    engine, watch = LocalEngine(1), Watch()
    engine.start(open_store("memory://"))
    engine.subscribe(watch)
    stuck = cell(
        f"import pathlib, time\npathlib.Path({str(flag)!r}).touch()\ntime.sleep(3)",
        name="stuck",
        outputs=["x"],
    )
    engine.submit([stuck], {})
    wait_for_file(flag)
    engine.cancel([stuck.key])
    after = cell("y = 1", name="after", outputs=["y"])
    engine.submit([after], {})
    assert watch.end(stuck, after) == ["cancelled", "stored"]
    engine.close()


def test_a_breaker_strikes_the_body_and_nothing_after_it() -> None:
    breaker = Breaker()
    began = Event()

    def body() -> None:
        began.set()
        while True:
            pass

    stopper = Thread(target=lambda: began.wait(PATIENCE) and breaker.stop())
    stopper.start()
    with pytest.raises(Stopped):
        breaker.guarded(body)
    stopper.join()
    # Asked for in the very last moment, it comes now or never.
    with suppress(Stopped):
        breaker.guarded(breaker.stop)
    assert sum(1 for _ in range(10_000)) == 10_000
    # Asked for before it begins, it does not begin.
    breaker.stop()
    with pytest.raises(Stopped):
        breaker.guarded(began.clear)
    assert began.is_set()


def test_a_breaker_strikes_once_so_that_a_body_can_clean_up() -> None:
    breaker, began, struck, again = Breaker(), Event(), Event(), Event()
    cleaned: list[int] = []

    def body() -> None:
        try:
            began.set()
            while True:
                pass
        finally:
            struck.set()
            assert again.wait(PATIENCE)
            cleaned.append(sum(1 for _ in range(10_000)))

    def stop_twice() -> None:
        for ready in (began, struck):
            assert ready.wait(PATIENCE)
            breaker.stop()
        again.set()

    stopper = Thread(target=stop_twice)
    stopper.start()
    with pytest.raises(Stopped):
        breaker.guarded(body)
    stopper.join()
    assert cleaned == [10_000]


def test_a_profiler_works_around_a_body() -> None:
    import cProfile

    profile = cProfile.Profile()
    profile.enable()
    try:
        assert Breaker().guarded(lambda: 42) == 42
    finally:
        profile.disable()


def test_a_task_knows_the_devices_it_was_given() -> None:
    engine, watch = LocalEngine(1, {"gpu": {"workers": 2, "gpu": 3, "license": 1}}), Watch()
    engine.start(open_store("memory://"))
    engine.subscribe(watch)
    source = "import jupyter_wf as wf\nx = wf.context().gpus"
    two = cell(source, name="two", outputs=["x"], gpu=2000, resources=(("license", 1000),))
    none = cell(source, name="none", outputs=["x"])
    engine.submit([two, none], {})
    assert watch.end(two, none) == ["stored"] * 2
    assert engine.value(out(two)) == ("0", "1")
    assert engine.value(out(none)) == ()
    assert {worker.free for worker in engine.offers()} == {
        all_of(worker.offer) for worker in engine.offers()
    }
    engine.close()


def test_what_no_worker_can_serve_says_so_until_it_can_be_served() -> None:
    engine, watch = LocalEngine(1, {"gpu": {"gpu": 1}}), Watch()
    assert [worker.partition for worker in engine.offers()] == [None, "gpu"]
    engine.start(open_store("memory://"))
    engine.subscribe(watch)
    much = cell("x = 1", name="much", outputs=["x"], gpu=2000)
    engine.submit([much], {})
    watch.until(lambda: "asks for 2 gpus" in watch.why(much))
    assert watch.state(much) == "ready"
    engine.cancel([much.key])
    assert watch.end(much) == ["cancelled"]
    engine.close()
