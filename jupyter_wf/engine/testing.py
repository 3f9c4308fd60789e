"""What every engine must do, as a suite of tests to subclass.

Examples
--------
A new engine is checked by::

    class TestMine(EngineTests):
        @pytest.fixture
        def engine(self):
            engine = MyEngine()
            yield engine
            engine.close()

and, where its machines can't open a store in the memory of this process, a fixture ``store``.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from threading import Condition
from typing import Any

import pytest

from jupyter_wf.engine.abc import Engine, Job, Store
from jupyter_wf.errors import EngineError
from jupyter_wf.events import (
    FINAL,
    Event,
    TaskCached,
    TaskChanged,
    TaskComputed,
    TaskFailed,
    TaskLog,
    TaskProgress,
    WorkerSample,
)
from jupyter_wf.fingerprint import combine, data_key, source_key, task_key
from jupyter_wf.graph import Call, Code, Requirements, Slot

PATIENCE = 30.0


def cell(
    source: str,
    *,
    name: str = "cell",
    inputs: Sequence[tuple[str, str]] = (),
    outputs: Sequence[str] = (),
    payload: bytes = b"",
    first_line: int = 1,
    **requirements: Any,
) -> Job:
    """Make a job of a cell's source; inputs are (variable, key of the data)."""
    code = Code(
        "cell",
        name,
        source,
        combine([("source", source)]),
        payload=payload,
        filename=f"<{name}>",
        first_line=first_line,
    )
    key = task_key(code.fingerprint + name, None, inputs)
    made = tuple((output, data_key(key, output)) for output in outputs)
    return Job(key, name, code, None, tuple(inputs), made, Requirements(**requirements))


def call(
    function: Callable[..., Any],
    *args: Any,
    inputs: Sequence[tuple[str, str]] = (),
    outputs: Sequence[str] = ("result",),
    **requirements: Any,
) -> Job:
    """Make a job of a function's call, in whose arguments a `Slot` stands for each input."""
    import cloudpickle

    payload = pickle.dumps((args, {}))
    name = function.__name__
    code = Code(
        "function", name, "", combine([("name", name)]), payload=cloudpickle.dumps(function)
    )
    arguments = Call(combine([("arguments", repr(args))]), payload)
    key = task_key(code.fingerprint, arguments.digest, inputs)
    made = tuple((output, data_key(key, output)) for output in outputs)
    return Job(key, name, code, arguments, tuple(inputs), made, Requirements(**requirements))


def out(job: Job, output: str | None = None) -> str:
    """Return the key of a job's output, its only one by default."""
    outputs = dict(job.outputs)
    return outputs[output] if output is not None else next(iter(outputs.values()))


class Watch:
    """A listener that remembers, and that a test can wait on."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._changed = Condition()

    def __call__(self, events: tuple[Event, ...]) -> None:
        """Take in a batch."""
        with self._changed:
            self.events.extend(events)
            self._changed.notify_all()

    def until(self, done: Callable[[], bool]) -> None:
        """Wait for something to be true; fail, with what happened so far, if it never is."""
        with self._changed:
            if not self._changed.wait_for(done, PATIENCE):
                told = [e for e in self.events if not isinstance(e, WorkerSample)]
                shown = "\n".join(map(str, told[-40:]))
                raise AssertionError(f"Not in {PATIENCE} s. The last events:\n{shown}")

    def state(self, job: Job) -> str:
        """Return the newest state of a task."""
        for event in reversed(self.events):
            if isinstance(event, TaskChanged) and event.task == job.key:
                return event.state
            if isinstance(event, TaskCached) and event.task == job.key:
                return "cached"
        return ""

    def why(self, job: Job) -> str:
        """Return the newest reason given for a task's state."""
        for event in reversed(self.events):
            if isinstance(event, TaskChanged | TaskCached) and event.task == job.key:
                return event.why
        return ""

    def of(self, job: Job, kind: type) -> list[Any]:
        """Return the events of one kind about one task."""
        return [e for e in self.events if isinstance(e, kind) and getattr(e, "task", "") == job.key]

    def end(self, *jobs: Job) -> list[str]:
        """Wait until all jobs are in a final state; return the states."""
        self.until(lambda: all(self.state(job) in FINAL for job in jobs))
        return [self.state(job) for job in jobs]

    def reach(self, job: Job, state: str) -> None:
        """Wait until a task is in `state`."""
        self.until(lambda: self.state(job) == state)


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


def wait_for_file(path: Any) -> None:
    """Wait until a task in another process has made a file."""
    end = time.monotonic() + PATIENCE
    while not path.exists():
        if time.monotonic() > end:
            raise AssertionError(f"{path} did not appear in {PATIENCE} s")
        time.sleep(0.005)
