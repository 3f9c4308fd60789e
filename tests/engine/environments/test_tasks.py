"""Tasks in environments, on a real engine, with packages that are really installed."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine.environments.around import NEW, OLD, ended, of, version
from engine.environments.wheels import wheel

import jupyter_wf as wf
from jupyter_wf.engine.environments import overlay
from jupyter_wf.errors import TaskError
from jupyter_wf.events import TaskFailed, TaskLog, TaskProgress


def sum_of(*pairs: tuple[int, int]) -> int:
    import tiny

    return sum(pair[0] for pair in pairs) + 10 * tiny.version


def test_conflicting_versions_run_side_by_side_in_one_graph(flow: Any, cache: Path) -> None:
    old, new = wf.task(version, environment=OLD), wf.task(version, environment=NEW)
    total = wf.task(sum_of, environment=NEW)
    one, two = old.invoke(), new.invoke()
    assert total.invoke(one, two).get() == 1 + 2 + 20
    assert [one.get()[0], two.get()[0]] == [1, 2]
    assert len({os.getpid(), one.get()[1], two.get()[1]}) == 3
    assert len([p for p in (cache / "overlays").iterdir() if p.is_dir()]) == 2
    assert "Installed 1 package" in "".join(event.text for event in of(flow, TaskLog))
    assert {event.total for event in of(flow, TaskProgress)} == {3}


@pytest.mark.slow
def test_conflicting_versions_on_dask_workers(packages: Path, tmp_path: Path) -> None:
    old, new = wf.task(version, environment=OLD), wf.task(version, environment=NEW)
    # A package that only the environment has, with a class whose instances are values.
    wheel(packages, "shapes", "1.0", "class Square:\n    def __init__(self, a): self.a = a\n")
    asked = {"pip": ["shapes"]}

    @wf.task(environment=asked)
    def make(a: Any) -> Any:
        import shapes

        return shapes.Square(a)

    @wf.task(environment=asked)
    def area(square: Any) -> Any:
        return square.a**2

    with wf.Workflow(store=str(tmp_path / "store")) as flow:
        pairs = [task.invoke() for task in (old, new)]
        assert [pair.get()[0] for pair in pairs] == [1, 2]
        assert (area.invoke(make.invoke(np.arange(100_000))).get()[:3] == [0, 1, 4]).all()
        pids = [pair.get()[1] for pair in pairs]
    flow.close()
    for pid in pids:
        ended(pid)


def test_variables_alone_need_no_build(flow: Any, cache: Path) -> None:
    @wf.task(environment={"env": {"GREETING": "hello", "PATH": "/nowhere"}})
    def greeting() -> Any:
        return os.environ["GREETING"], os.environ["PATH"]

    assert greeting.invoke().get() == ("hello", "/nowhere")
    assert "GREETING" not in os.environ
    assert not cache.exists()


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("environment", [None, {"env": {"A": "1"}}], ids=["without", "with"])
def test_what_a_task_tells_is_heard(flow: Any, environment: Any) -> None:
    @wf.task(environment=environment, partition="cpu")
    def talk(a: Any) -> Any:
        print("out")
        print("err", file=sys.stderr)
        logging.getLogger("x").warning("logged")
        warnings.warn("warned", stacklevel=1)
        wf.context().logger.info("by context")
        wf.context().progress(1, 2, "half")
        return wf.context().name, wf.context().partition, a

    name, partition, a = talk.invoke(np.arange(3)).get()
    assert name.startswith("talk-")
    assert partition == "cpu"
    assert not a.flags.writeable
    said: dict[str, str] = {}
    for event in of(flow, TaskLog):
        said[event.stream] = said.get(event.stream, "") + event.text
    assert said["stdout"] == "out\n"
    assert said["stderr"] == "err\n"
    assert said["log"] == "WARNING x: logged\nINFO jupyter_wf.task: by context\n"
    assert "UserWarning: warned" in said["warning"]
    assert [(e.done, e.total, e.note) for e in of(flow, TaskProgress)] == [(1, 2, "half")]


def test_a_failure_points_to_the_users_line(flow: Any) -> None:
    @wf.task(environment=OLD)
    def fail(a: int) -> float:
        b = a - 1
        return a / b

    with pytest.raises(TaskError, match="ZeroDivisionError"):
        fail.invoke(1).get()
    failure = of(flow, TaskFailed)[0].failure
    assert failure.lines == (4,)
    assert "return a / b" in failure.traceback
    assert "jupyter_wf" not in failure.traceback
    assert fail.invoke(3).get() == 1.5


def test_it_is_part_of_what_a_task_is(packages: Path) -> None:
    asked = [None, OLD, NEW, {"pip": ["tiny==2"]}, {**OLD, "env": {"A": 1}}]
    codes = [wf.task(version, environment=one).code for one in asked]
    assert len({code.fingerprint for code in codes}) == 4  # two of them come to tiny 2.0
    assert codes[2].fingerprint == codes[3].fingerprint
    tiny = [dict(code.parts).get("environment tiny") for code in codes]
    assert tiny == [None, "1.0", "2.0", "2.0", "1.0"]
    # Which version the notebook has, or that it has none, says nothing about those with one.
    assert ["package tiny" in dict(code.parts) for code in codes] == [True, *[False] * 4]


def test_a_task_is_another_if_one_that_it_invokes_has_another_environment(packages: Path) -> None:
    def made(environment: Any) -> str:
        child = wf.task(version, environment=environment)

        @wf.task
        def parent() -> Any:
            return child.invoke()

        return str(parent.code.fingerprint)

    assert made(OLD) == made({"pip": ["tiny==1"]})
    assert made(OLD) != made(NEW)
    assert made(OLD) != made(None)


def test_the_devices_that_a_task_is_given_are_all_that_it_sees(packages: Path) -> None:
    @wf.task(environment={"env": {"A": "1"}}, gpu=1)
    def visible() -> str:
        return os.environ["CUDA_VISIBLE_DEVICES"]

    engine = wf.LocalEngine(partitions={"gpu": {"workers": 1, "gpu": 2}})
    with wf.Workflow(engine, "memory://"):
        assert visible.invoke().get() in {"0", "1"}
    engine.close()


@wf.task
def plus(a: Any, b: int) -> Any:
    return a + b


@wf.task(environment=NEW)
def versions(of: Any) -> Any:
    import tiny

    return [of, tiny.version]


@wf.task(environment=OLD)
def family(a: Any, how: str) -> Any:
    import tiny

    child = plus.invoke(a, tiny.version)
    if how == "delegates":
        return child
    if how == "waits":
        return child.get() + tiny.version
    if how == "fails":
        return plus.invoke("text", 1).get()
    return versions.invoke(child, delegate=True)


@pytest.mark.parametrize("a", [1, np.ones(10_000)], ids=["small", "large"])
def test_tasks_in_an_environment_invoke_others(flow: Any, a: Any) -> None:
    assert np.all(family.invoke(a, "delegates").get() == a + 1)
    assert np.all(family.invoke(a, "waits").get() == a + 2)
    of, version = family.invoke(a, "two environments").get()
    assert np.all(of == a + 1)
    assert version == 2
    with pytest.raises(TaskError, match="can only concatenate str"):
        family.invoke(a, "fails").get()


def test_a_worker_with_another_python_refuses(flow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    task = wf.task(version, environment={"python": f"{sys.version_info[0]}.{sys.version_info[1]}"})
    monkeypatch.setattr(overlay, "PYTHON", "3.99")
    with pytest.raises(TaskError, match=r"but this worker runs 3\.99"):
        task.invoke().get()
