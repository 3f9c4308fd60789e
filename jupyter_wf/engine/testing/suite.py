"""The suite itself: a test for each promise that an engine makes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from jupyter_wf.engine.abc import Engine, Store
from jupyter_wf.engine.testing.jobs import PATIENCE, Watch, call, cell, out, wait_for_file
from jupyter_wf.errors import EngineError
from jupyter_wf.events import (
    Event,
    TaskChanged,
    TaskComputed,
    TaskFailed,
    TaskLog,
    TaskProgress,
)
from jupyter_wf.fingerprint import source_key
from jupyter_wf.graph import Slot


class EngineTests:
    """Subclass it and give it a fixture ``engine``."""

    @pytest.fixture
    def engine(self) -> Iterator[Engine]:
        """Return the engine under test, not started."""
        raise NotImplementedError

    @pytest.fixture
    def store(self, tmp_path: Any) -> Iterator[Store]:
        """Return the store that the engine is bound to."""
        from jupyter_wf.engine.store import open_store

        store = open_store(str(tmp_path / "store"))
        yield store
        store.close()

    @pytest.fixture
    def watch(self, engine: Engine, store: Store) -> Watch:
        """Return a listener of the engine, which is started by this."""
        watch = Watch()
        engine.start(store)
        engine.subscribe(watch)
        return watch

    def test_a_chain_runs_in_order_and_gives_its_values(self, engine: Engine, watch: Watch) -> None:
        first = cell("x = 2", name="first", outputs=["x"])
        second = cell("y = x * 21", name="second", inputs=[("x", out(first))], outputs=["y"])
        engine.submit([second, first], {})
        assert watch.end(first, second) == ["stored", "stored"]
        assert engine.value(out(first)) == 2
        assert engine.value(out(second)) == 42
        (done,) = watch.of(second, TaskComputed)
        assert done.outputs[0][0] == "y"
        assert done.outputs[0][1].kind == "json"
        assert done.worker
        assert done.attempt == 1
        order = [e.task for e in watch.events if isinstance(e, TaskComputed)]
        assert order == [first.key, second.key]

    def test_fan_out_and_in(self, engine: Engine, watch: Watch) -> None:
        source = cell("n = 3", name="n", outputs=["n"])
        parts = [
            cell(f"p = n + {i}", name=f"p{i}", inputs=[("n", out(source))], outputs=["p"])
            for i in range(20)
        ]
        total = cell(
            "s = " + " + ".join(f"p{i}" for i in range(20)),
            name="sum",
            inputs=[(f"p{i}", out(part)) for i, part in enumerate(parts)],
            outputs=["s"],
        )
        engine.submit([source, *parts, total], {})
        assert watch.end(total) == ["stored"]
        assert engine.value(out(total)) == 20 * 3 + sum(range(20))
        assert sum(engine.executions().values()) == 22

    def test_a_function_gets_inputs_where_its_slots_stand(
        self, engine: Engine, watch: Watch
    ) -> None:
        def join(items: list[Any], scale: int) -> tuple[list[Any], int]:
            return items, scale * sum(items)

        source = cell("n = 3", name="n", outputs=["n"])
        job = call(
            join, [1, Slot("n"), 2], 10, inputs=[("n", out(source))], outputs=("items", "total")
        )
        engine.submit([source, job], {})
        assert watch.end(job) == ["stored"]
        assert engine.value(out(job, "items")) == [1, 3, 2]
        assert engine.value(out(job, "total")) == 60

    def test_an_error_names_the_users_lines_and_cancels_what_needs_it(
        self, engine: Engine, watch: Watch
    ) -> None:
        bad = cell("a = 1\n\nb = a / 0\n", name="bad", outputs=["b"], first_line=5)
        after = cell("c = b", name="after", inputs=[("b", out(bad))], outputs=["c"])
        last = cell("d = c", name="last", inputs=[("c", out(after))], outputs=["d"])
        engine.submit([bad, after, last], {})
        assert watch.end(bad, after, last) == ["error", "cancelled", "cancelled"]
        assert watch.why(last) == "`bad` failed"
        (failed,) = watch.of(bad, TaskFailed)
        assert failed.failure.type == "ZeroDivisionError"
        assert failed.failure.lines == (3,)
        assert "b = a / 0" in failed.failure.traceback
        assert "line 7" in failed.failure.traceback
        assert "jupyter_wf" not in failed.failure.traceback
        engine.submit([after], {})
        assert watch.end(after) == ["cancelled"]

    def test_an_output_that_is_not_bound_is_named(self, engine: Engine, watch: Watch) -> None:
        job = cell("if False:\n    q = 1", name="half", outputs=["q"])
        engine.submit([job], {})
        assert watch.end(job) == ["error"]
        assert "'q'" in watch.of(job, TaskFailed)[0].failure.message

    def test_exits_end_the_task_only(self, engine: Engine, watch: Watch) -> None:
        jobs = [
            cell(source, name=source, outputs=["x"])
            for source in ("raise SystemExit(3)", "raise KeyboardInterrupt")
        ]
        fine = cell("x = 1", name="fine", outputs=["x"])
        engine.submit(jobs, {})
        assert watch.end(*jobs) == ["error", "error"]
        engine.submit([fine], {})
        assert watch.end(fine) == ["stored"]

    def test_a_failed_task_is_retried_and_says_why(
        self, engine: Engine, watch: Watch, tmp_path: Any
    ) -> None:
        marks = tmp_path / "marks"
        source = (
            f"import pathlib\np = pathlib.Path({str(marks)!r})\n"
            "n = len(p.read_text()) if p.exists() else 0\np.write_text('x' * (n + 1))\n"
            "assert n == 2, f'only {n}'\nx = n"
        )
        job = cell(source, name="flaky", outputs=["x"], retries=2)
        engine.submit([job], {})
        assert watch.end(job) == ["stored"]
        assert engine.value(out(job)) == 2
        assert watch.of(job, TaskComputed)[0].attempt == 3
        assert engine.executions()["flaky"] == 3
        assert any("only 1" in e.why for e in watch.of(job, TaskChanged))

    def test_cancelling_a_waiting_and_a_running_task(
        self, engine: Engine, watch: Watch, tmp_path: Any
    ) -> None:
        flag = tmp_path / "began"
        endless = cell(
            f"import pathlib\npathlib.Path({str(flag)!r}).touch()\nwhile True: pass",
            name="endless",
            outputs=["x"],
        )
        after = cell("y = x", name="after", inputs=[("x", out(endless))], outputs=["y"])
        engine.submit([endless, after], {})
        wait_for_file(flag)
        engine.cancel([endless.key])
        assert watch.end(endless, after) == ["cancelled", "cancelled"]
        assert "`endless` was cancelled" in watch.why(after)
        more = [cell(f"x = {i}", name=f"m{i}", outputs=["x"]) for i in range(8)]
        engine.submit(more, {})
        assert watch.end(*more) == ["stored"] * 8

    def test_a_task_over_its_time_is_stopped(self, engine: Engine, watch: Watch) -> None:
        job = cell("while True: pass", name="slow", outputs=["x"], timeout=0.2)
        engine.submit([job], {})
        assert watch.end(job) == ["error"]
        (failed,) = watch.of(job, TaskFailed)
        assert failed.failure.type == "TimeoutError"
        assert "0.2 s" in failed.failure.message

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

    def test_an_input_that_nobody_gives_is_refused(self, engine: Engine, watch: Watch) -> None:
        job = cell("y = x", name="lonely", inputs=[("x", "0" * 40)], outputs=["y"])
        with pytest.raises(EngineError, match="'lonely' reads 'x'"):
            engine.submit([job], {})

    @pytest.mark.filterwarnings("default")
    def test_output_and_progress_arrive_while_it_runs(
        self, engine: Engine, watch: Watch, tmp_path: Any
    ) -> None:
        go = tmp_path / "go"
        source = (
            "import logging, pathlib, sys, time, warnings\nimport jupyter_wf as wf\n"
            "print('to out')\nprint('to err', file=sys.stderr)\nwarnings.warn('beware')\n"
            "wf.context().logger.info('noted')\nwf.context().progress(1, 4, 'a quarter')\n"
            f"while not pathlib.Path({str(go)!r}).exists(): time.sleep(0.01)\nx = 1"
        )
        job = cell(source, name="talks", outputs=["x"])
        engine.submit([job], {})

        def text(stream: str) -> str:
            return "".join(e.text for e in watch.of(job, TaskLog) if e.stream == stream)

        watch.until(
            lambda: (
                "to out\n" in text("stdout")
                and "to err\n" in text("stderr")
                and "beware" in text("warning")
                and "noted" in text("log")
                and bool(watch.of(job, TaskProgress))
            )
        )
        assert watch.state(job) == "running"
        progress = watch.of(job, TaskProgress)[0]
        assert (progress.done, progress.total, progress.note) == (1, 4, "a quarter")
        go.touch()
        assert watch.end(job) == ["stored"]

    def test_large_values_travel_and_can_not_be_changed_in_place(
        self, engine: Engine, watch: Watch
    ) -> None:
        big = cell("import numpy as np\nX = np.arange(2_000_000.0)", name="big", outputs=["X"])
        spoil = cell("X[0] = 1\ny = 1", name="spoil", inputs=[("X", out(big))], outputs=["y"])
        total = cell("s = float(X.sum())", name="sum", inputs=[("X", out(big))], outputs=["s"])
        engine.submit([big, spoil, total], {})
        assert watch.end(big, spoil, total) == ["stored", "error", "stored"]
        assert "read-only" in watch.of(spoil, TaskFailed)[0].failure.message
        assert engine.value(out(big))[-1] == 1_999_999.0
        assert engine.value(out(total)) == 1_999_999.0 * 1_000_000

    def test_a_value_that_cannot_be_stored_fails_its_task(
        self, engine: Engine, watch: Watch
    ) -> None:
        job = cell("import threading\nx = threading.Lock()", name="lock", outputs=["x"])
        engine.submit([job], {})
        assert watch.end(job) == ["error"]
        assert "lock" in watch.of(job, TaskFailed)[0].failure.message

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

    def test_flush_means_durable(self, engine: Engine, store: Store, watch: Watch) -> None:
        jobs = [cell(f"x = {i}", name=f"n{i}", outputs=["x"]) for i in range(50)]
        engine.submit(jobs, {})
        watch.until(lambda: all(watch.of(job, TaskComputed) for job in jobs))
        assert engine.flush(PATIENCE)
        store.refresh()
        assert all(store.find(job.key) is not None for job in jobs)

    def test_a_closed_engine_says_so(self, engine: Engine, watch: Watch) -> None:
        engine.close()
        engine.close()
        with pytest.raises(EngineError, match="closed"):
            engine.submit([cell("x = 1", outputs=["x"])], {})
