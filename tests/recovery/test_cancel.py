"""What runs is stopped: a task, what needs it, a run; and why a task waits is told meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import jupyter_wf as wf
from jupyter_wf.engine.testing import wait_for_file
from jupyter_wf.errors import TaskCancelledError


@pytest.fixture
def flow() -> Iterator[wf.Workflow]:
    with wf.Workflow(wf.LocalEngine(workers=2), "memory://") as flow:
        yield flow
        flow.cancel()


@wf.task
def held(folder: Path, name: str) -> str:
    import time

    (folder / name).touch()
    while True:
        time.sleep(0.005)


@wf.task
def after(value: str) -> str:
    return value


def test_a_run_is_cancelled_but_not_what_another_run_waits_for(
    flow: wf.Workflow, tmp_path: Path
) -> None:
    flow.dry = True
    mine, shared = held.invoke(tmp_path, "mine"), held.invoke(tmp_path, "shared")
    below = after.invoke(mine)
    flow.dry = False
    first, second = flow.run(below, shared), flow.run(shared)
    for name in ("mine", "shared"):
        wait_for_file(tmp_path / name)
    waits = f"waiting; waits for 'in0' of `{mine.name}` (running on local)"
    assert flow.why(below.name) == f"{below.name}: {waits}"
    first.cancel()
    with pytest.raises(TaskCancelledError):
        below.get()
    assert [mine.state, shared.state] == ["cancelled", "running"]
    assert second.state == "running"
    second.cancel()
    assert second.wait(30).state == "cancelled"
    assert first.state == "cancelled"


def test_a_sub_graph_is_cancelled(flow: wf.Workflow, tmp_path: Path) -> None:
    one, other = held.invoke(tmp_path, "one"), held.invoke(tmp_path, "other")
    needs = [after.invoke(after.invoke(one)), after.invoke(other)]
    wait_for_file(tmp_path / "one")
    wait_for_file(tmp_path / "other")
    flow.cancel(one)
    with pytest.raises(TaskCancelledError):
        needs[0].get()
    assert other.state == "running"
    assert needs[1].state == "waiting"
