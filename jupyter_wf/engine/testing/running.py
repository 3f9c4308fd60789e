"""What runs: order, arguments, values, output."""

from __future__ import annotations

from typing import Any

import pytest

from jupyter_wf.engine.abc import Engine
from jupyter_wf.engine.testing.base import Base
from jupyter_wf.engine.testing.jobs import Watch, call, cell, out
from jupyter_wf.events import (
    TaskComputed,
    TaskFailed,
    TaskLog,
    TaskProgress,
)
from jupyter_wf.graph import Slot


class RunningTests(Base):
    """What runs: order, arguments, values, output."""

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
