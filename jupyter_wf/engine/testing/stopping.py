"""What ends badly, or is ended."""

from __future__ import annotations

from typing import Any

import pytest

from jupyter_wf.engine.abc import Engine
from jupyter_wf.engine.testing.base import Base
from jupyter_wf.engine.testing.jobs import Watch, cell, out
from jupyter_wf.engine.testing.waiting import wait_for_file
from jupyter_wf.errors import EngineError
from jupyter_wf.events import (
    TaskChanged,
    TaskComputed,
    TaskFailed,
)


class StoppingTests(Base):
    """What ends badly, or is ended."""

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

    def test_an_input_that_nobody_gives_is_refused(self, engine: Engine, watch: Watch) -> None:
        job = cell("y = x", name="lonely", inputs=[("x", "0" * 40)], outputs=["y"])
        with pytest.raises(EngineError, match="'lonely' reads 'x'"):
            engine.submit([job], {})

    def test_a_value_that_cannot_be_stored_fails_its_task(
        self, engine: Engine, watch: Watch
    ) -> None:
        job = cell("import threading\nx = threading.Lock()", name="lock", outputs=["x"])
        engine.submit([job], {})
        assert watch.end(job) == ["error"]
        assert "lock" in watch.of(job, TaskFailed)[0].failure.message
