"""What starts first, and where."""

from __future__ import annotations

from typing import Any

from jupyter_wf.engine.abc import Engine
from jupyter_wf.engine.testing.base import Base
from jupyter_wf.engine.testing.jobs import Watch, cell, out
from jupyter_wf.events import TaskChanged, TaskComputed


class PlacingTests(Base):
    """What starts first, and where."""

    def test_of_ready_tasks_those_with_priority_start_first(
        self, engine: Engine, watch: Watch
    ) -> None:
        priorities = [3, -1, 0, 9, 4, 0, 7, -5, 2, 8]
        jobs = [
            cell(f"x = {i}", name=f"p{i}", outputs=["x"], priority=priority)
            for i, priority in enumerate(priorities)
        ]
        engine.submit(jobs, {})
        assert watch.end(*jobs) == ["stored"] * len(jobs)
        begun = dict.fromkeys(
            event.task
            for event in watch.events
            if isinstance(event, TaskChanged) and event.state == "running"
        )
        ordered = sorted(range(len(jobs)), key=lambda i: (-priorities[i], i))
        assert [*begun] == [jobs[i].key for i in ordered]

    def test_a_task_knows_the_partition_it_was_asked_to_run_in(
        self, engine: Engine, watch: Watch
    ) -> None:
        source = "import jupyter_wf as wf\nx = wf.context().partition"
        here = cell(source, name="here", outputs=["x"])
        there = cell(source, name="there", outputs=["x"], partition="anywhere")
        engine.submit([here, there], {})
        assert watch.end(here, there) == ["stored", "stored"]
        assert engine.value(out(here)) is None
        assert engine.value(out(there)) == "anywhere"

    def test_workers_say_what_they_have(self, engine: Engine, watch: Watch) -> None:
        job = cell("x = 1", name="one", outputs=["x"])
        engine.submit([job], {})
        assert watch.end(job) == ["stored"]
        workers = engine.offers()
        assert watch.of(job, TaskComputed)[0].worker in {worker.name for worker in workers}
        assert all(worker.offer.cpu >= 1000 for worker in workers)

    def test_a_task_that_waits_says_for_what(
        self, engine: Engine, watch: Watch, tmp_path: Any
    ) -> None:
        flag = tmp_path / "go"
        source = f"import pathlib, time\nwhile not pathlib.Path({str(flag)!r}).exists():"
        first = cell(f"{source} time.sleep(0.01)\nx = 1", name="first", outputs=["x"])
        after = cell("y = x", name="after", inputs=[("x", out(first))], outputs=["y"])
        engine.submit([first, after], {})
        watch.reach(first, "running")
        assert "`first`" in engine.why(after.key)
        flag.touch()
        assert watch.end(first, after) == ["stored", "stored"]
        assert engine.why(after.key) == engine.why("0" * 40) == ""
