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
from jupyter_wf.engine.testing import PATIENCE, EngineTests, ProcessTests

pytestmark = pytest.mark.slow


class TestFuturesEngine(ProcessTests, EngineTests):
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
    assert not psutil.wait_procs(children, timeout=PATIENCE)[1]
