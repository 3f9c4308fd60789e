"""Sessions, each a process of its own, and plain Dask tasks on one cluster of two workers.

Each session says on its output when a task of it has ended, so that what is compared are counts of
tasks that sleep, and not times.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Condition, Thread
from typing import Any

import pytest

pytestmark = pytest.mark.slow

PROGRAM = """
import sys
from jupyter_wf.engine.dask import DaskEngine
from jupyter_wf.engine.store import open_store
from jupyter_wf.engine.testing import Watch, cell
from jupyter_wf.events import TaskCached, TaskComputed
address, store, seconds, count, name = sys.argv[1:]
engine = DaskEngine(address)
engine.start(open_store(store))
def tell(events):
    for event in events:
        if isinstance(event, TaskComputed | TaskCached):
            print(type(event).__name__, flush=True)
engine.subscribe(tell)
source = "import os, time\\ntime.sleep(%s)\\nx = ['%s', %d]"
jobs = [
    cell(source % (seconds, name, i), name=f"{name}{i}", outputs=["x"]) for i in range(int(count))
]
engine.submit(jobs, {})
sys.stdin.read()
engine.close()
"""


class Sessions:
    """Counts what processes with an engine say."""

    def __init__(self, address: str, folder: Path) -> None:
        self.counts: dict[str, int] = {}
        self.cached: dict[str, int] = {}
        self.processes: list[subprocess.Popen[str]] = []
        self._address, self._folder = address, folder
        self._changed = Condition()

    def start(self, session: str, seconds: float, count: int, name: str, store: str) -> None:
        arguments = [self._address, str(self._folder / store), str(seconds), str(count), name]
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.counts[session] = self.cached[session] = 0
        self.processes.append(process)
        Thread(target=self._listen, args=(session, process), daemon=True).start()

    def _listen(self, session: str, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            with self._changed:
                self.counts[session] += 1
                self.cached[session] += line.startswith("TaskCached")
                self._changed.notify_all()

    def reach(self, counts: dict[str, int]) -> dict[str, int]:
        """Wait until sessions have so many; return how many all have then."""
        with self._changed:
            self._changed.wait_for(
                lambda: all(self.counts[session] >= n for session, n in counts.items())
            )
            return dict(self.counts)

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()


@pytest.fixture
def cluster() -> Iterator[Any]:
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        yield cluster


@pytest.fixture
def sessions(cluster: Any, tmp_path: Path) -> Iterator[Sessions]:
    sessions = Sessions(cluster.scheduler_address, tmp_path)
    yield sessions
    sessions.close()


def test_sessions_have_equal_shares_and_a_plain_task_its_turn(
    cluster: Any, sessions: Sessions
) -> None:
    from distributed import Client

    long, short = 0.2, 0.02
    sessions.start("long", long, 1000, "a", "one")
    sessions.reach({"long": 3})
    sessions.start("short", short, 10_000, "b", "two")
    before = sessions.reach({"short": 20})
    after = sessions.reach({"long": before["long"] + 30})
    ratio = (after["short"] - before["short"]) * short / (30 * long)
    # What lies between a short task's end and the next one's start makes it less than one.
    assert 0.4 < ratio < 1.2
    with Client(cluster, set_as_default=False) as client:
        # Of a few, none is held back on the scheduler, where leases that wait count as work.
        for number in range(4):
            before = sessions.reach({})
            assert client.submit(len, [number]).result() == 1
            after = sessions.reach({})
            # In 1.5 s, two slots run no more than fifteen long tasks.
            assert after["long"] - before["long"] <= 15


def test_two_sessions_that_compute_the_same_both_have_it_and_the_store_has_it_once(
    sessions: Sessions, tmp_path: Path
) -> None:
    from jupyter_wf.engine.store import open_store

    for name in ("one", "other"):
        sessions.start(name, 0.05, 40, "same", "store")
    assert sessions.reach({"one": 40, "other": 40}) == {"one": 40, "other": 40}
    for process in sessions.processes:
        process.communicate("", timeout=60)
    store = open_store(str(tmp_path / "store"))
    records = list(store.records())
    assert len({record.key for record in records}) == 40
    assert all(store.get(stored.id)[0] == "same" for r in records for _, stored in r.outputs)
