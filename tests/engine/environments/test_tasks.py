"""Tasks in environments, on a real engine, with packages that are really installed."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from typing import Any

import numpy as np
import psutil
import pytest
from engine.environments.wheels import broken, wheel

import jupyter_wf as wf
from jupyter_wf.engine.breaker import Breaker, Stopped
from jupyter_wf.engine.environments import locked, overlay, pool
from jupyter_wf.engine.testing import PATIENCE, wait_for_file, wait_until
from jupyter_wf.environment import Environment
from jupyter_wf.errors import PackageError, TaskCancelledError, TaskError
from jupyter_wf.events import Event, TaskChanged, TaskFailed, TaskLog, TaskProgress

OLD, NEW = {"pip": ["tiny<2"]}, {"pip": ["tiny>=2"]}


@pytest.fixture
def flow(packages: Path) -> Iterator[Any]:
    engine = wf.LocalEngine(2)
    with wf.Workflow(engine, "memory://") as flow:
        flow.events = []
        flow.subscribe(flow.events.extend)
        yield flow
    engine.close()


def of(flow: Any, kind: type[Event]) -> list[Any]:
    flow.engine.flush()
    return [event for event in flow.events if isinstance(event, kind)]


def version() -> tuple[int, int]:
    import tiny

    return tiny.version, os.getpid()


def sum_of(*pairs: tuple[int, int]) -> int:
    import tiny

    return sum(pair[0] for pair in pairs) + 10 * tiny.version


def ended(pid: int) -> None:
    """Wait until a process is gone, or at least dead."""

    def gone() -> bool:
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    wait_until(gone, f"process {pid} is gone")


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


def test_a_failed_build_is_told_in_the_installers_words_and_not_repeated_for_retries(
    flow: Any, packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(packages, "tiny", "3.0")
    task = wf.task(version, environment={"pip": ["tiny>2"]}, retries=2)
    monkeypatch.setattr(overlay, "FRESH", 1000.0)
    builds: list[str] = []
    install = overlay._install
    monkeypatch.setattr(
        overlay, "_install", lambda *given: (builds.append(given[2]), install(*given))
    )
    data = task.invoke()
    with pytest.raises(TaskError, match=r"The packages tiny>2 could not be installed\. uv says"):
        data.get()
    assert of(flow, TaskFailed)[-1].attempt == 3
    assert builds == ["tiny>2"]
    # Once what was wrong is put right, a later attempt succeeds.
    wheel(packages, "tiny", "3.0", "version = 3")
    monkeypatch.setattr(overlay, "FRESH", 0.0)
    flow.run(data)
    assert data.get()[0] == 3


def test_a_worker_with_another_python_refuses(flow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    task = wf.task(version, environment={"python": f"{sys.version_info[0]}.{sys.version_info[1]}"})
    monkeypatch.setattr(overlay, "PYTHON", "3.99")
    with pytest.raises(TaskError, match=r"but this worker runs 3\.99"):
        task.invoke().get()


BUILD = """
import sys
from jupyter_wf.engine.environments import overlay
from jupyter_wf.environment import Environment
said = []
print("ready", flush=True)
sys.stdin.readline()
environment = Environment(pip=("tiny",), lock=("tiny==1.0",))
overlay.python_of(environment, lambda done, total, text: said.append(text))
print(sum("Installed" in text for text in said))
"""


def test_processes_that_build_the_same_do_it_once(packages: Path) -> None:
    command = [sys.executable, "-c", BUILD]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    builders: list[Any] = [subprocess.Popen(command, **pipes) for _ in range(3)]
    assert [builder.stdout.readline() for builder in builders] == ["ready\n"] * 3
    for builder in builders:
        builder.stdin.write("go\n")
        builder.stdin.flush()
    counts = [int(builder.communicate()[0]) for builder in builders]
    assert sorted(counts) == [0, 0, 1]


def test_a_stopped_attempt_does_not_stop_the_build(
    packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, may, install = Flag(), Flag(), overlay._install

    def slowly(*given: Any) -> None:
        began.set()
        assert may.wait(PATIENCE)
        install(*given)

    monkeypatch.setattr(overlay, "_install", slowly)
    environment = locked(Environment(pip=("tiny",)))
    breaker, stopped = Breaker(), Flag()

    def attempt() -> None:
        try:
            breaker.guarded(lambda: overlay.python_of(environment, lambda *_: None))
        except Stopped:
            stopped.set()

    thread = Thread(target=attempt)
    thread.start()
    assert began.wait(PATIENCE)
    breaker.stop()
    assert stopped.wait(PATIENCE)
    thread.join()
    monkeypatch.setattr(overlay, "_build", None)  # there is no second one
    may.set()
    assert Path(overlay.python_of(environment, lambda *_: None)).exists()


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


def test_an_overlay_whose_python_is_gone_is_told(packages: Path, cache: Path) -> None:
    environment = locked(Environment(pip=("tiny",)))
    python = Path(overlay.python_of(environment, lambda *_: None))
    python.unlink()
    with pytest.raises(PackageError, match="Delete that folder"):
        overlay.python_of(environment, lambda *_: None)
