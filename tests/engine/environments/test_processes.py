"""The processes in which tasks of environments run: kept, stopped, and ended however they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from engine.environments.around import OLD, ended, of, version

import jupyter_wf as wf
from jupyter_wf.engine.environments import pool
from jupyter_wf.engine.testing import wait_for_file
from jupyter_wf.errors import TaskCancelledError, TaskError
from jupyter_wf.events import TaskChanged


def test_a_process_is_kept_for_the_next_task_and_ends_with_the_engine(packages: Path) -> None:
    @wf.task(environment=OLD, cache=False)
    def pid(of: int) -> int:
        return os.getpid()

    engine = wf.LocalEngine(1)
    with wf.Workflow(engine, "memory://"):
        found = [pid.invoke(i).get() for i in range(3)]
    engine.close()
    assert len(set(found)) == 1
    ended(found[0])


def test_one_without_work_ends_after_a_while(flow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "IDLE", 0.05)
    ended(wf.task(version, environment=OLD).invoke().get()[1])


@pytest.mark.parametrize("how", ["cancel", pytest.param("timeout", marks=pytest.mark.slow)])
def test_stopping_it_ends_its_process_and_what_that_started(
    flow: Any, tmp_path: Path, how: str
) -> None:
    pids = tmp_path / "pids"

    around = {"env": {"A": "1"}}

    @wf.task(environment=around)
    def pid() -> int:
        return os.getpid()

    @wf.task(environment=around, timeout=3 if how == "timeout" else None)
    def stuck(path: str) -> None:
        with subprocess.Popen(["sleep", "600"]) as child:
            made = Path(path)
            made.with_suffix(".new").write_text(f"{os.getpid()} {child.pid}")
            made.with_suffix(".new").rename(made)
            sum(range(10**12))

    # Its process is there before the time begins to count.
    there = pid.invoke().get()
    data = stuck.invoke(str(pids))
    wait_for_file(pids)
    assert pids.read_text().startswith(f"{there} ")
    if how == "cancel":
        flow.cancel(data)
    with pytest.raises(TaskCancelledError if how == "cancel" else TaskError):
        data.get()
    for pid in map(int, pids.read_text().split()):
        ended(pid)


@pytest.mark.parametrize(
    ("end", "says"),
    [
        (
            "os._exit(3)",
            "EndedError: The process in which the task's environment is ended with sta",
        ),
        ("os.kill(os.getpid(), 9)", "KilledError"),
        ("os.abort()", "ended by SIGABRT"),
    ],
)
def test_a_process_that_ends_fails_the_attempt_only(
    flow: Any, tmp_path: Path, end: str, says: str
) -> None:
    @wf.task(environment={"env": {"A": "1"}}, retries=1)
    def once(path: str, end: str) -> str:
        if Path(path).exists():
            return "done"
        Path(path).touch()
        exec(end, {"os": os})
        return "not reached"

    assert once.invoke(str(tmp_path / "flag"), end).get() == "done"
    whys = [event.why for event in of(flow, TaskChanged)]
    assert any(says in why for why in whys), whys


PARENT = """
import sys
import jupyter_wf as wf

@wf.task(environment={"env": {"A": "1"}})
def stuck():
    import os
    print(os.getpid(), flush=True)
    os.write(1, f"{os.getpid()}\\n".encode())
    return sum(range(10**12))

with wf.Workflow(wf.LocalEngine(), "memory://"):
    stuck.invoke().get()
"""


def test_it_dies_with_its_worker_however_that_dies(packages: Path, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PARENT)
    with subprocess.Popen(
        [sys.executable, str(program)], stderr=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stderr is not None
        pid = int(parent.stderr.readline())
        assert psutil.pid_exists(pid)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        ended(pid)
