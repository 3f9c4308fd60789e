"""For engines whose workers are processes of this machine: they can be killed, and must be."""

from __future__ import annotations

from typing import Any

import pytest

from jupyter_wf.engine.abc import Engine
from jupyter_wf.engine.testing.base import Base
from jupyter_wf.engine.testing.jobs import Watch, cell, out
from jupyter_wf.engine.testing.waiting import wait_for_file
from jupyter_wf.events import TaskChanged, TaskComputed, TaskFailed, WorkerChanged


class ProcessTests(Base):
    """Workers that die, or that are ended because their task does not listen.

    The engine has at least two workers, and starts another for each that dies.
    """

    @pytest.mark.parametrize(
        "source",
        [
            "import hashlib\nx = hashlib.pbkdf2_hmac('sha256', b'a', b'b', 2**31 - 1)",
            "x = sum(range(10**12))",
        ],
        ids=["without the GIL", "with the GIL"],
    )
    def test_a_task_in_a_long_c_call_is_cancelled(
        self, engine: Engine, watch: Watch, tmp_path: Any, source: str
    ) -> None:
        flag = tmp_path / "began"
        stuck = cell(
            f"import pathlib\npathlib.Path({str(flag)!r}).touch()\n{source}",
            name="stuck",
            outputs=["x"],
        )
        before = cell("x = [1]", name="before", outputs=["x"])
        engine.submit([before], {})
        assert watch.end(before) == ["stored"]
        engine.submit([stuck], {})
        wait_for_file(flag)
        watch.reach(stuck, "running")
        victim = next(e.worker for e in watch.of(stuck, TaskChanged) if e.state == "running")
        engine.cancel([stuck.key])
        assert watch.end(stuck) == ["cancelled"]
        watch.until(
            lambda: any(
                isinstance(e, WorkerChanged) and e.worker == victim and e.state == "left"
                for e in watch.events
            )
        )
        after = [
            cell(f"y = x + [{i}]", name=f"after{i}", inputs=[("x", out(before))], outputs=["y"])
            for i in range(4)
        ]
        engine.submit(after, {})
        assert watch.end(*after) == ["stored"] * 4
        assert engine.executions()["before"] <= 1

    def test_a_killed_worker_costs_a_second_run_and_nothing_else(
        self, engine: Engine, watch: Watch, tmp_path: Any
    ) -> None:
        flag = tmp_path / "flag"
        source = (
            "import os, pathlib, signal\n"
            f"flag = pathlib.Path({str(flag)!r})\n"
            "if not flag.exists():\n    flag.touch()\n    os.kill(os.getpid(), signal.SIGKILL)\n"
            "y = x + 1"
        )
        first = cell("x = 41", name="first", outputs=["x"])
        lethal = cell(source, name="lethal", inputs=[("x", out(first))], outputs=["y"])
        engine.submit([first, lethal], {})
        assert watch.end(first, lethal) == ["stored", "stored"]
        assert engine.value(out(lethal)) == 42
        assert watch.of(lethal, TaskComputed)[0].attempt == 2

    def test_a_task_that_kills_every_worker_is_an_error(self, engine: Engine, watch: Watch) -> None:
        source = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"
        job = cell(source, name="killer", outputs=["x"])
        engine.submit([job], {})
        assert watch.end(job) == ["error"]
        assert "3 worker processes died" in watch.of(job, TaskFailed)[0].failure.message

    def test_values_pass_between_workers_without_a_store(
        self, engine: Engine, tmp_path: Any
    ) -> None:
        from jupyter_wf.engine.store import open_store

        watch = Watch()
        store = open_store("memory://")
        engine.start(store)
        engine.subscribe(watch)
        given = store.put(list(range(100_000)))
        data = "d" * 40
        parts = [
            cell(
                "import pathlib, time, numpy as np\n"
                f"here = pathlib.Path({str(tmp_path)!r})\n(here / '{i}').touch()\n"
                f"while not (here / '{1 - i}').exists(): time.sleep(0.01)\n"
                f"X = np.full(100_000, {i} + sum(v))",
                name=f"part{i}",
                inputs=[("v", data)],
                outputs=["X"],
            )
            for i in range(2)
        ]
        join = cell(
            "s = int((A + B)[0])",
            name="join",
            inputs=[("A", out(parts[0])), ("B", out(parts[1]))],
            outputs=["s"],
        )
        engine.submit([*parts, join], {data: given.id})
        assert watch.end(*parts, join) == ["stored"] * 3
        assert len({watch.of(part, TaskComputed)[0].worker for part in parts}) == 2
        assert engine.value(out(join)) == 2 * sum(range(100_000)) + 1
