"""A kernel is killed whose cluster is not its own: the cluster goes on with what it asked for."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import takeover_program as program
from dask_processes import environment, scheduler, worker, worker_of
from distributed import Client

from jupyter_wf import open_store
from jupyter_wf.engine.testing.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.slow


@contextmanager
def kernel(address: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Start the program; go on when it has asked for all."""
    command = [sys.executable, program.__file__, address, str(folder)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen(command, text=True, env=environment(), **pipes)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "asked\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def takes_over(process: psutil.Process) -> bool:
    return "jupyter_wf.engine.dask.successor" in process.cmdline()


class Place:
    """A cluster as a test sees it, and a folder with a store and a log."""

    def __init__(self, client: Client, address: str, folder: Path) -> None:
        self.client, self.address, self.folder = client, address, folder
        self._store = open_store(folder / "store")

    def begun(self) -> Counter[int]:
        log = self.folder / "log"
        return Counter(map(int, log.read_text().split())) if log.exists() else Counter()

    def committed(self) -> list[str]:
        self._store.refresh()
        return [record.name for record in self._store.records()]

    def deposits(self, which: str) -> list[int]:
        async def ask() -> dict[str, list[int]]:
            found = await self.client.scheduler.wf_deposits(store=self._store.url)
            return {which: list(counts) for which, counts in found.items()}

        return self.client.sync(ask)[which]

    def at_the_gate(self) -> None:
        wait_until(lambda: self.begun()[program.GATE] > 0, "the step at the gate had begun")
        wait_until(lambda: bool(self.deposits("living")), "the scheduler knew what was asked for")

    def check_all_is_committed(self) -> None:
        wait_until(lambda: len(self.committed()) == program.LENGTH, "all was committed")
        assert len(set(self.committed())) == program.LENGTH
        begun = self.begun()
        assert begun.keys() == set(range(program.LENGTH))
        assert {begun[number] for number in range(program.GATE)} == {1}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with scheduler(tmp_path) as (address, _), Client(address, set_as_default=False) as client:
        yield Place(client, address, tmp_path)


def test_the_cluster_goes_on(place: Place) -> None:
    with worker(place.address), worker(place.address), kernel(place.address, place.folder) as one:
        place.at_the_gate()
        one.kill()
        wait_until(lambda: place.deposits("orphans") == [program.LENGTH], "somebody took over")
        (place.folder / "go").touch()
        place.check_all_is_committed()
        wait_until(lambda: place.deposits("orphans") == [], "it has ended")
        begun = place.begun()
        assert {begun[number] for number in range(program.GATE + 1, program.LENGTH)} == {1}


def test_another_worker_takes_over_from_a_dead_one(place: Place) -> None:
    def hosts() -> list[psutil.Process]:
        processes = [p for nanny in (left, right) if (p := worker_of(nanny)) is not None]
        return [
            p for p in processes if any("successor" in " ".join(c.cmdline()) for c in p.children())
        ]

    with (
        worker(place.address) as left,
        worker(place.address) as right,
        kernel(place.address, place.folder) as one,
    ):
        place.at_the_gate()
        one.kill()
        wait_until(lambda: bool(hosts()), "somebody took over")
        (host,) = hosts()
        host.kill()
        host.wait()
        wait_until(lambda: bool(hosts()), "somebody else took over")
        (place.folder / "go").touch()
        place.check_all_is_committed()


def test_who_closes_takes_it_back(place: Place) -> None:
    with worker(place.address), kernel(place.address, place.folder) as one:
        place.at_the_gate()
        assert one.stdin is not None
        one.stdin.write("close\n")
        one.stdin.flush()
        assert one.wait(PATIENCE) == 0
        (place.folder / "go").touch()
        assert place.deposits("living") == place.deposits("orphans") == []
        assert max(place.begun()) == program.GATE


def test_a_living_kernel_has_precedence(place: Place) -> None:
    with worker(place.address), worker(place.address):
        with kernel(place.address, place.folder) as one:
            place.at_the_gate()
            one.kill()
            wait_until(lambda: place.deposits("orphans") == [program.LENGTH], "somebody took over")
        with kernel(place.address, place.folder) as other:
            wait_until(
                lambda: place.deposits("orphans") == [program.GATE], "it left all to the living one"
            )
            (place.folder / "go").touch()
            assert other.stdout is not None
            assert other.stdout.readline() == "stored\n"
            place.check_all_is_committed()
            begun = place.begun()
            assert {begun[number] for number in range(program.GATE + 1, program.LENGTH)} == {1}
