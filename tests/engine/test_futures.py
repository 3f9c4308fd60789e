from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from jupyter_wf.engine.abc import Engine, Store
from jupyter_wf.engine.futures import FuturesEngine
from jupyter_wf.engine.store import open_store
from jupyter_wf.engine.testing import EngineTests, Watch, cell, out, wait_for_file
from jupyter_wf.events import TaskFailed, WorkerChanged

pytestmark = pytest.mark.slow


class TestFuturesEngine(EngineTests):
    @pytest.fixture
    def engine(self) -> Iterator[Engine]:
        engine = FuturesEngine(2)
        yield engine
        engine.close()


class TestFuturesEngineInMemory(TestFuturesEngine):
    @pytest.fixture
    def store(self) -> Iterator[Store]:
        store = open_store("memory://")
        yield store
        store.close()


def test_a_task_that_ends_its_process_is_given_up_and_others_are_not(tmp_path: Path) -> None:
    engine, watch = FuturesEngine(1), Watch()
    engine.start(open_store("memory://"))
    engine.subscribe(watch)
    before = cell("x = [1]", name="before", outputs=["x"])
    deadly = cell("import os\nos.kill(os.getpid(), 9)", name="deadly", outputs=["y"])
    after = cell("z = x + [2]", name="after", inputs=[("x", out(before))], outputs=["z"])
    engine.submit([before, deadly], {})
    assert watch.end(before, deadly) == ["stored", "error"]
    assert "worker processes died" in watch.of(deadly, TaskFailed)[0].failure.message
    engine.submit([after], {})
    assert watch.end(after) == ["stored"]
    assert engine.value(out(after)) == [1, 2]
    assert {e.state for e in watch.events if isinstance(e, WorkerChanged)} == {"joined", "left"}
    engine.close()


@pytest.mark.parametrize(
    "source",
    ["import time\ntime.sleep(1000)", "x = sum(range(10**12))"],
    ids=["without the GIL", "with the GIL"],
)
def test_a_task_that_does_not_listen_is_ended_with_its_process(tmp_path: Path, source: str) -> None:
    flag = tmp_path / "began"
    engine, watch = FuturesEngine(1), Watch()
    engine.start(open_store("memory://"))
    engine.subscribe(watch)
    begin = f"import pathlib\npathlib.Path({str(flag)!r}).touch()\n"
    stuck = cell(begin + source, name="stuck", outputs=["x"])
    engine.submit([stuck], {})
    wait_for_file(flag)
    engine.cancel([stuck.key])
    after = cell("y = 1", name="after", outputs=["y"])
    engine.submit([after], {})
    assert watch.end(stuck, after) == ["cancelled", "stored"]
    engine.close()


PROGRAM = """
import sys
import jupyter_wf as wf

@wf.task
def double(x):
    return 2 * x

if __name__ == "__main__":
    with wf.Workflow(wf.FuturesEngine(1), "memory://"):
        print(double.invoke(double.invoke(10)).get(), flush=True)
        sys.stdin.readline()
"""


def test_no_process_outlives_a_program_that_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM, "utf-8")
    with subprocess.Popen(
        [sys.executable, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"40\n"
        children = psutil.Process(program.pid).children(recursive=True)
        assert children
        program.kill()
    assert not psutil.wait_procs(children, timeout=30)[1]
