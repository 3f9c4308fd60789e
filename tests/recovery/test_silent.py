"""Workers that fall silent: stopped, cut off from the network, or only busy."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from dask_processes import scheduler, worker

from jupyter_wf.engine.abc import Job
from jupyter_wf.engine.dask import DaskEngine
from jupyter_wf.engine.store import open_store
from jupyter_wf.engine.testing import Watch, cell, out, wait_for_file
from jupyter_wf.events import TaskComputed, WorkerChanged

pytestmark = pytest.mark.slow
SILENT = 1.0


def stuck_at_first(folder: Path) -> Job:
    """Make a job whose first execution says who runs it, and then waits for the file "go"."""
    source = (
        "import os, pathlib, time\n"
        f"folder = pathlib.Path({str(folder)!r})\n"
        "with (folder / 'log').open('a') as log:\n    log.write('x')\n"
        "if (folder / 'log').read_text() == 'x':\n"
        "    (folder / 'new').write_text(str(os.getpid()))\n"
        "    (folder / 'new').rename(folder / 'pid')\n"
        "    while not (folder / 'go').exists():\n        time.sleep(0.01)\n"
        "    (folder / 'late').touch()\n"
        "x = 42"
    )
    return cell(source, name="stuck", outputs=["x"])


def changes(watch: Watch, *states: str) -> list[WorkerChanged]:
    return [e for e in watch.events if isinstance(e, WorkerChanged) and e.state in states]


@contextmanager
def engine_on(target: Any, store: Path) -> Iterator[tuple[DaskEngine, Watch]]:
    engine, watch = DaskEngine(target, silent=SILENT), Watch()
    engine.start(open_store(str(store)))
    engine.subscribe(watch)
    try:
        yield engine, watch
    finally:
        engine.close()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    from jupyter_wf.engine.dask.cluster import embedded

    cluster = embedded(2)
    yield cluster
    cluster.close()


def test_a_stopped_worker_is_given_up_and_its_late_answer_is_not_heard(
    cluster: Any, tmp_path: Path
) -> None:
    with engine_on(cluster, tmp_path / "store") as (engine, watch):
        job = stuck_at_first(tmp_path)
        engine.submit([job], {})
        wait_for_file(tmp_path / "pid")
        pid = int((tmp_path / "pid").read_text())
        stopped = time.time()
        os.kill(pid, signal.SIGSTOP)
        try:
            assert watch.end(job) == ["stored"]
            (left,) = changes(watch, "left")
            assert "its process is stopped" in left.why
            print(f"given up after {left.time - stopped:.2f} s, with a bound of {2 * SILENT} s")
        finally:
            os.kill(pid, signal.SIGCONT)
        (tmp_path / "go").touch()
        wait_for_file(tmp_path / "late")
        # It is used again once Dask has heard of it.
        watch.until(lambda: len(changes(watch, "joined")) >= 3)
        assert (tmp_path / "log").read_text() == "xx"
        assert [e.attempt for e in watch.of(job, TaskComputed)] == [2]
        meet = [meeting(tmp_path, i) for i in range(2)]
        engine.submit(meet, {})
        assert watch.end(*meet) == ["stored"] * 2
        assert pid in {engine.value(out(one)) for one in meet}


def meeting(folder: Path, me: int) -> Job:
    """Make one of two jobs that only end together, so that it takes two workers."""
    source = (
        "import os, pathlib, time\n"
        f"folder = pathlib.Path({str(folder)!r})\n(folder / 'here{me}').touch()\n"
        f"while not (folder / 'here{1 - me}').exists():\n    time.sleep(0.01)\n"
        "x = os.getpid()"
    )
    return cell(source, name=f"meeting{me}", outputs=["x"])


@pytest.mark.parametrize("least", [100_000, 5_000_000], ids=["small", "large"])
def test_who_waits_for_a_value_of_a_worker_that_was_given_up_goes_on(
    least: int, cluster: Any, tmp_path: Path
) -> None:
    with engine_on(cluster, tmp_path / "store") as (engine, watch):
        makers = []
        for i, size in enumerate((least, 10 * least)):
            source = f"{meeting(tmp_path, i).code.source}\na, b = bytes({size}), bytes({size + 1})"
            makers.append(cell(source, name=f"maker{i}", outputs=["x", "a", "b"]))
        engine.submit(makers, {})
        assert watch.end(*makers) == ["stored"] * 2

        def reader(output: str) -> Job:
            inputs = [(f"in{i}", out(maker, output)) for i, maker in enumerate(makers)]
            source = f"import os\n'{output}'\nx = os.getpid()"
            return cell(source, name=f"reader-{output}", inputs=inputs, outputs=["x"])

        # It runs where more of what it reads is, and has a connection to the other one afterwards.
        first, second = reader("a"), reader("b")
        engine.submit([first], {})
        assert watch.end(first) == ["stored"]
        other, here = [engine.value(out(maker, "x")) for maker in makers]
        assert engine.value(out(first)) == here
        os.kill(other, signal.SIGSTOP)
        try:
            engine.submit([second], {})
            assert watch.end(second) == ["stored"]
            assert engine.value(out(second)) == here
            watch.until(lambda: len(changes(watch, "left")) == 1)
        finally:
            os.kill(other, signal.SIGCONT)


def test_a_task_that_holds_the_lock_for_long_is_not_mistaken(cluster: Any, tmp_path: Path) -> None:
    with engine_on(cluster, tmp_path / "store") as (engine, watch):
        # A C function called with the interpreter's lock held: nothing else runs in the process.
        source = "import ctypes\nctypes.PyDLL(None).sleep(10)\nx = 1"
        job = cell(source, name="busy", outputs=["x"])
        engine.submit([job], {})
        assert watch.end(job) == ["stored"]
        assert changes(watch, "suspect")
        assert not changes(watch, "left")
        assert [e.attempt for e in watch.of(job, TaskComputed)] == [1]
        assert engine.executions()["busy"] == 1


def _may_make_networks() -> bool:
    try:
        made = subprocess.run(["ip", "netns", "add", "wf-may"], capture_output=True, check=False)
        subprocess.run(["ip", "netns", "del", "wf-may"], capture_output=True, check=False)
    except OSError:
        return False
    return made.returncode == 0


@contextmanager
def network(name: str) -> Iterator[None]:
    """Make a network of its own, with one cable to ours: 10.213.7.1 here, 10.213.7.2 there."""
    inside = f"ip netns exec {name}"
    for line in (
        f"ip netns add {name}",
        f"ip link add {name}a type veth peer name {name}b",
        f"ip link set {name}b netns {name}",
        f"ip addr add 10.213.7.1/24 dev {name}a",
        f"ip link set {name}a up",
        f"{inside} ip addr add 10.213.7.2/24 dev {name}b",
        f"{inside} ip link set {name}b up",
        f"{inside} ip link set lo up",
    ):
        subprocess.run(line.split(), check=True)
    try:
        yield
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


@pytest.mark.skipif(not _may_make_networks(), reason="needs the right to make networks")
def test_a_worker_behind_a_cut_cable_is_given_up(tmp_path: Path) -> None:
    inside, here = ("ip", "netns", "exec", "wft"), "10.213.7.1"
    with (
        network("wft"),
        scheduler(tmp_path, here) as (address, _),
        worker(address, host="10.213.7.2", before=inside),
        engine_on(address, tmp_path / "store") as (engine, watch),
    ):
        job = stuck_at_first(tmp_path)
        engine.submit([job], {})
        wait_for_file(tmp_path / "pid")
        cut = time.time()
        subprocess.run([*inside, *["ip", "link", "set", "wftb", "down"]], check=True)
        with worker(address, host=here):
            assert watch.end(job) == ["stored"]
            (left,) = changes(watch, "left")
            assert "it can't be reached" in left.why
            print(f"given up after {left.time - cut:.2f} s, with a bound of {2 * SILENT} s")
            (tmp_path / "go").touch()
            wait_for_file(tmp_path / "late")
            subprocess.run([*inside, *["ip", "link", "set", "wftb", "up"]], check=True)
            watch.until(lambda: len(changes(watch, "joined")) >= 3)
        assert [e.attempt for e in watch.of(job, TaskComputed)] == [2]
        assert (tmp_path / "log").read_text() == "xx"
