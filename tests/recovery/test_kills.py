"""Kill -9 at random moments of a graph of 300 tasks: each worker, nanny, scheduler and kernel.

The result is right, what was committed is not computed again, nothing is committed twice, and
nothing hangs. ``WF_KILLS=100`` has each kind killed a hundred times.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Timer
from typing import Any

import kill_program as program
import pytest
from dask_processes import Process, environment, scheduler, worker, worker_of

from jupyter_wf import open_store

KILLS = int(os.environ.get("WF_KILLS", "5"))
#: Seconds after which whatever goes on hangs.
PATIENCE = 60.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60 * max(KILLS, 5))]


class Kernel:
    """The program, as its orders and its words."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, program.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        assert self.heard()["ready"]

    def order(self, **what: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()

    def heard(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        guard = Timer(PATIENCE, self.process.kill)
        guard.start()
        try:
            line = self.process.stdout.readline()
        finally:
            guard.cancel()
        assert line, "The program ended without a word, or was killed because it hung."
        news: dict[str, Any] = json.loads(line)
        return news

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@dataclass
class Cluster:
    """A scheduler and two nannies, each with one worker, in processes of their own."""

    folder: Path
    stack: ExitStack = field(default_factory=ExitStack)
    address: str = ""
    scheduler: Process | None = None
    nannies: list[Process] = field(default_factory=list)

    def start(self) -> None:
        self.address, self.scheduler = self.stack.enter_context(scheduler(self.folder))
        self.nannies = [self.stack.enter_context(worker(self.address)) for _ in range(2)]

    def stop(self) -> None:
        self.stack.close()


@contextmanager
def machines(folder: Path) -> Iterator[tuple[Cluster, list[Kernel]]]:
    cluster, kernels = Cluster(folder), [Kernel()]
    try:
        cluster.start()
        yield cluster, kernels
    finally:
        kernels[-1].end()
        cluster.stop()


def committed(store: Path) -> Counter[str]:
    """Count the records of each task, by the name that its key gives it."""
    if not store.exists():
        return Counter()
    found = open_store(store)
    try:
        return Counter(record.name for record in found.records())
    finally:
        found.close()


def executions(log: Path) -> list[tuple[str, float]]:
    lines = log.read_text().splitlines() if log.exists() else []
    return [(name, float(at)) for name, at in map(str.split, lines)]


@pytest.mark.parametrize("victim", ["worker", "nanny", "scheduler", "kernel"])
def test_kills(victim: str, tmp_path: Path) -> None:
    luck = random.Random(f"20261121-{victim}")
    again, longest, whole, middle = 0, 0.0, 1.0, 0
    with machines(tmp_path) as (cluster, kernels):
        for round_ in range(KILLS + 2):
            store, log = tmp_path / f"store-{round_}", tmp_path / f"log-{round_}"
            job = {"store": str(store), "log": str(log), "round": round_}
            kernels[-1].order(address=cluster.address, **job)
            assert kernels[-1].heard()["started"]
            held, seen = Counter[str](), 0.0
            if round_ >= 2:  # the first tells how long the second, without new code, takes
                time.sleep(luck.uniform(0, whole))
                strike(victim, luck, cluster, kernels, job)
                held, seen = committed(store), time.time()
            kernel = kernels[-1]
            news = kernel.heard()
            if "lost" in news:
                assert "does not answer any more" in news["lost"]
                kernel.order(address=cluster.address)
                news = kernel.heard()
            if "started" in news:
                news = kernel.heard()
            assert news.get("result") == news.get("right", ""), news
            if round_ == 1:
                whole = news["seconds"]
            total = committed(store)
            tasks = len(total)
            twice = [key for key, count in total.items() if count > 1]
            assert not twice, f"committed twice: {twice}"
            begun = executions(log)
            late = [name for name, at in begun if name in held and at > seen]
            assert not late, f"computed though it was committed: {late}"
            # What an added task gave, and nobody reads any more, is not made again if it was lost.
            ran = Counter(name for name, _ in begun)
            assert ran.keys() >= total.keys()
            again += sum(ran.values()) - len(ran)
            middle += 0 < len(held) < tasks
            longest = max(longest, news["seconds"])
    print(
        f"{victim}: {KILLS} kills, {middle} in the middle; {again} bodies ran again, none of them "
        f"committed; a round takes {whole:.2f} s, at most {longest:.2f} s with a kill"
    )
    assert middle >= KILLS // 5, "the kills were to come in the middle"


def strike(
    victim: str, luck: random.Random, cluster: Cluster, kernels: list[Kernel], job: dict[str, Any]
) -> None:
    """Kill one part, and give what it takes to go on."""
    if victim == "worker":
        workers = [w for nanny in cluster.nannies if (w := worker_of(nanny)) is not None]
        luck.choice(workers).send_signal(signal.SIGKILL)
    elif victim == "nanny":
        place = luck.randrange(2)
        cluster.nannies[place].send_signal(signal.SIGKILL)
        cluster.nannies[place] = cluster.stack.enter_context(worker(cluster.address))
    elif victim == "scheduler":
        assert cluster.scheduler is not None
        cluster.scheduler.send_signal(signal.SIGKILL)
        cluster.stop()
        cluster.start()
    else:
        kernels[-1].end()
        kernels.append(Kernel())
        kernels[-1].order(address=cluster.address, **job)
