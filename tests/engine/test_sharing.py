"""Sessions, each a process of its own, and plain Dask tasks on one cluster of two workers.

Each session says on its output what it did, so that what is compared are counts of tasks that
sleep, and what the workers hold to each session's account; never times.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from dask_processes import scheduler, worker
from distributed import Client

from jupyter_wf.engine.testing import wait_until

pytestmark = pytest.mark.slow

PROGRAM = """
import sys
from jupyter_wf.engine.dask import DaskEngine
from jupyter_wf.engine.store import open_store
from jupyter_wf.engine.testing import cell
from jupyter_wf.events import TaskCached, TaskComputed
address, store, body, count, name = sys.argv[1:]
engine = DaskEngine(address, guarded=False)
engine.start(open_store(store))
def tell(events):
    for event in events:
        if isinstance(event, TaskComputed | TaskCached):
            print(type(event).__name__, flush=True)
engine.subscribe(tell)
source = "import pathlib, time\\n%s\\nx = ['%s', %d]"
jobs = [
    cell(source % (body, name, i), name=f"{name}{i}", outputs=["x"]) for i in range(int(count))
]
engine.submit(jobs, {})
print("Submitted", flush=True)
sys.stdin.read()
engine.close()
"""
#: Seconds that tasks of the two sessions sleep; the long ones for longer than a turn takes.
LONG, SHORT = 0.4, 0.02


class Sessions:
    """Counts what processes with an engine say."""

    def __init__(self, address: str, folder: Path) -> None:
        self.said: dict[str, Counter[str]] = {}
        self.processes: list[subprocess.Popen[str]] = []
        self._address, self._folder = address, folder

    def start(self, session: str, body: str, count: int, name: str, store: str) -> None:
        arguments = [self._address, str(self._folder / store), body, str(count), name]
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.said[session] = Counter()
        self.processes.append(process)
        Thread(target=self._listen, args=(session, process), daemon=True).start()

    def _listen(self, session: str, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.said[session][line.strip()] += 1

    def ended(self, session: str) -> int:
        """Count the tasks of a session that have ended."""
        return self.said[session]["TaskComputed"] + self.said[session]["TaskCached"]

    def submitted(self, session: str) -> None:
        """Wait until a session has submitted all its tasks."""
        wait_until(lambda: self.said[session]["Submitted"], f"{session} has submitted its tasks")

    def reach(self, session: str, count: int) -> None:
        """Wait until so many tasks of a session have ended."""
        wait_until(lambda: self.ended(session) >= count, f"{count} tasks of {session} have ended")

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("cluster")
    with scheduler(folder) as (address, _), worker(address), worker(address):
        yield address


@pytest.fixture
def sessions(address: str, tmp_path: Path) -> Iterator[Sessions]:
    sessions = Sessions(address, tmp_path)
    yield sessions
    sessions.close()


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[Client]:
    with Client(address, set_as_default=False) as client:
        yield client


@pytest.fixture(scope="module")
def rivals(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sessions]:
    """Two sessions that have far more to do than any test waits for."""
    sessions = Sessions(address, tmp_path_factory.mktemp("rivals"))
    sessions.start("short", f"time.sleep({SHORT})", 50_000, "a", "one")
    sessions.reach("short", 20)
    sessions.start("long", f"time.sleep({LONG})", 10_000, "b", "two")
    sessions.submitted("long")
    yield sessions
    sessions.close()


def test_what_two_sessions_compute_the_store_has_once(sessions: Sessions, tmp_path: Path) -> None:
    from jupyter_wf.engine.store import open_store

    go, both = tmp_path / "go", ("one", "other")
    for name in both:
        wait = f"while not pathlib.Path({str(go)!r}).exists(): time.sleep(0.01)"
        sessions.start(name, wait, 40, "same", "store")
    for name in both:
        sessions.submitted(name)
    go.touch()
    for name in both:
        sessions.reach(name, 40)
    for process in sessions.processes:
        process.communicate("", timeout=60)
    assert sum(sessions.said[name]["TaskComputed"] for name in both) > 40, "nothing ran twice"
    store = open_store(str(tmp_path / "store"))
    records = list(store.records())
    assert len({record.key for record in records}) == len(records) == 40
    assert all(store.get(stored.id)[0] == "same" for r in records for _, stored in r.outputs)


def held(client: Client) -> Counter[str]:
    """Return the slot-seconds that the workers hold to each session's account."""

    def accounts(dask_worker: Any) -> dict[str, float]:
        return dict(dask_worker.plugins["jupyter-wf"].share.held)

    total: Counter[str] = Counter()
    for one in client.run(accounts).values():
        total.update(one)
    return total


def test_sessions_have_equal_shares(client: Client, rivals: Sessions) -> None:
    # Whoever came first has held all slots until now.
    rivals.reach("short", rivals.ended("short") + 100)
    before = held(client)
    rivals.reach("short", rivals.ended("short") + 1000)
    gained = sorted((held(client) - before).values())
    assert len(gained) == 2, "one of them has starved"
    assert gained[1] - gained[0] <= 0.05 * sum(gained), gained


def test_a_plain_task_has_its_turn(client: Client, rivals: Sessions) -> None:
    for number in range(4):
        before = rivals.ended("long")
        assert client.submit(len, [number]).result() == 1
        # In 1.5 s, two slots run no more than eight long tasks.
        assert rivals.ended("long") - before <= 8


def test_many_plain_tasks_that_are_alike_are_not_held_back(
    client: Client, rivals: Sessions
) -> None:
    before = rivals.ended("long")
    rests = client.map(time.sleep, [0.05] * 40, pure=False)
    assert client.gather(rests) == [None] * 40
    # Where leases that wait count as load, a turn of each session goes by for each plain task.
    assert rivals.ended("long") - before <= 10


def test_a_cluster_that_scales_hears_what_they_could_use(client: Client, rivals: Sessions) -> None:
    def target(dask_scheduler: Any) -> int:
        return int(dask_scheduler.adaptive_target())

    def most(dask_scheduler: Any) -> int:
        return max(len(worker.processing) for worker in dask_scheduler.workers.values())

    def asked() -> bool:
        return client.run_on_scheduler(target) > 100

    wait_until(asked, "the scheduler wants more workers for all that work")
    # It is said, and not shown by leases that no worker has a slot for.
    assert client.run_on_scheduler(most) <= 2 * len(rivals.processes)
    rivals.close()
    wait_until(lambda: client.run_on_scheduler(target) <= 2, "the scheduler wants no more workers")
