"""What is known, found again, kept and told."""

from __future__ import annotations

from typing import Any

import pytest

from jupyter_wf.engine.abc import Engine, Store
from jupyter_wf.engine.testing.base import Base
from jupyter_wf.engine.testing.jobs import Watch, cell, out
from jupyter_wf.engine.testing.waiting import PATIENCE
from jupyter_wf.errors import EngineError
from jupyter_wf.events import (
    Event,
    TaskComputed,
)
from jupyter_wf.fingerprint import source_key


class KeepingTests(Base):
    """What is known, found again, kept and told."""

    def test_the_same_code_on_the_same_values_is_not_run_again(
        self, engine: Engine, watch: Watch
    ) -> None:
        one = cell("x = 4", name="one", outputs=["x"])
        other = cell("x = 2 + 2", name="other", outputs=["x"])
        first = cell("y = x * x", name="square", inputs=[("x", out(one))], outputs=["y"])
        again = cell("y = x * x", name="square", inputs=[("x", out(other))], outputs=["y"])
        assert first.key != again.key
        engine.submit([one, first], {})
        assert watch.end(one, first) == ["stored", "stored"]
        engine.submit([other, again], {})
        assert watch.end(again) == ["cached"]
        assert watch.why(again) == "same code read the same values"
        assert engine.value(out(again)) == 16
        assert engine.executions()["square"] == 1

    def test_no_cache_means_run(self, engine: Engine, watch: Watch) -> None:
        one = cell("x = 4", name="one", outputs=["x"])
        again = cell("x = 4", name="again", outputs=["x"], cache=False)
        engine.submit([one], {})
        watch.end(one)
        engine.submit([again], {})
        assert watch.end(again) == ["stored"]
        assert engine.executions()["again"] == 1

    def test_a_job_that_is_held_is_ignored_and_a_forgotten_one_runs_or_is_found(
        self, engine: Engine, watch: Watch
    ) -> None:
        job = cell("x = 4", name="one", outputs=["x"])
        engine.submit([job], {})
        watch.end(job)
        engine.submit([job], {})
        engine.forget([job.key])
        with pytest.raises(EngineError, match="not computed"):
            engine.value(out(job))
        assert engine.executions()["one"] == 1

    def test_values_known_beforehand_come_from_the_store(
        self, engine: Engine, store: Store, watch: Watch
    ) -> None:
        stored = store.put([1, 2, 3])
        engine.hold(stored.id, [1, 2, 3])
        data = source_key(stored.id)
        job = cell("s = sum(v)", name="sum", inputs=[("v", data)], outputs=["s"])
        engine.submit([job], {data: stored.id})
        assert watch.end(job) == ["stored"]
        assert engine.value(out(job)) == 6

    def test_what_is_stored_outlives_the_engine(
        self, engine: Engine, store: Store, watch: Watch
    ) -> None:
        job = cell("x = {'a': 1}", name="one", outputs=["x"])
        engine.submit([job], {})
        assert watch.end(job) == ["stored"]
        engine.close()
        store.refresh()
        record = store.find(job.key)
        assert record is not None
        assert record.name == "one"
        assert store.get(record.outputs[0][1].id) == {"a": 1}

    def test_flush_means_durable(self, engine: Engine, store: Store, watch: Watch) -> None:
        jobs = [cell(f"x = {i}", name=f"n{i}", outputs=["x"]) for i in range(50)]
        engine.submit(jobs, {})
        watch.until(lambda: all(watch.of(job, TaskComputed) for job in jobs))
        assert engine.flush(PATIENCE)
        store.refresh()
        assert all(store.find(job.key) is not None for job in jobs)

    def test_a_listener_is_undone_and_a_raising_one_is_removed(
        self, engine: Engine, watch: Watch
    ) -> None:
        heard: list[Event] = []
        calls: list[int] = []

        def bad(_: tuple[Event, ...]) -> None:
            calls.append(1)
            raise RuntimeError("no")

        undo = engine.subscribe(heard.extend)
        engine.subscribe(bad)
        one = cell("x = 1", name="one", outputs=["x"])
        two = cell("x = 2", name="two", outputs=["x"])
        engine.submit([one], {})
        watch.end(one)
        engine.flush(PATIENCE)
        undo()
        undo()
        count = len(heard)
        assert count
        engine.submit([two], {})
        watch.end(two)
        engine.flush(PATIENCE)
        assert len(heard) == count
        assert len(calls) == 1

    def test_a_listener_may_call_the_engine(self, engine: Engine, watch: Watch) -> None:
        one = cell("x = 1", name="one", outputs=["x"])
        two = cell("x = 2", name="two", outputs=["x"])
        seen: list[Any] = []

        def react(events: tuple[Event, ...]) -> None:
            for event in events:
                if isinstance(event, TaskComputed) and event.task == one.key:
                    seen.append(engine.value(out(one)))
                    engine.submit([two], {})

        engine.subscribe(react)
        engine.submit([one], {})
        assert watch.end(two) == ["stored"]
        assert seen == [1]

    def test_a_closed_engine_says_so(self, engine: Engine, watch: Watch) -> None:
        engine.close()
        engine.close()
        with pytest.raises(EngineError, match="closed"):
            engine.submit([cell("x = 1", outputs=["x"])], {})

    def test_an_engine_is_started_once_and_before_all_else(
        self, engine: Engine, store: Store
    ) -> None:
        with pytest.raises(EngineError, match="start"):
            engine.submit([cell("x = 1", outputs=["x"])], {})
        engine.start(store)
        with pytest.raises(EngineError, match="started already"):
            engine.start(store)

    def test_what_is_not_held_is_cancelled_and_forgotten_at_once(
        self, engine: Engine, watch: Watch
    ) -> None:
        engine.cancel(["0" * 40])
        engine.forget(["0" * 40])
        with pytest.raises(EngineError, match="not computed"):
            engine.value("0" * 40)
        assert engine.flush(PATIENCE)
