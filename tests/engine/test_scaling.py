"""Clusters that grow and shrink: what is asked for, and what Dask makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_wf.engine.dask.slots import Slots
from jupyter_wf.engine.testing import Watch, cell, wait_until

WORKER = {"nthreads": 1, "resources": {"wf": 1}}
STRANGER = {"nthreads": 8, "resources": {}}


class Future:
    def __init__(self) -> None:
        self.over = False

    def done(self) -> bool:
        return self.over


class Client:
    """What `Slots` knows of a Dask client."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.wish = 0

    def submit(self, function: Any, *arguments: Any, key: str, **_: Any) -> Future:
        self.asked.append(key)
        return Future()

    def wished(self, slots: int) -> None:
        self.wish = slots


def slots(tasks: int, worth: int | None = None, **options: Any) -> tuple[Slots, Client]:
    client = Client()
    given = {
        "share": 1.0,
        "most": None,
        "idle": None,
        "waits": True,
        "wish": client.wished,
        **options,
    }
    demand = (tasks, tasks if worth is None else worth)
    return Slots(client, "s", None, lambda: demand, **given), client


@pytest.mark.parametrize(
    ("demand", "workers", "options", "scales", "wanted"),
    [
        pytest.param((0, 0), 4, {}, False, (0, 0), id="nothing to do"),
        pytest.param((9, 9), 0, {}, False, (1, 0), id="one, so that a worker is started"),
        pytest.param((9, 9), 0, {"waits": False}, False, (0, 0), id="our own cluster is coming"),
        pytest.param((9, 9), 4, {}, False, (4, 0), id="as many as there are"),
        pytest.param((2, 2), 4, {}, False, (2, 0), id="as many as can be used"),
        pytest.param((9, 9), 4, {"most": 3}, False, (3, 0), id="not more than the user said"),
        pytest.param((9, 9), 4, {}, True, (4, 5), id="more are wished for, where more may come"),
        pytest.param((9, 9), 4, {"most": 6}, True, (4, 2), id="not more than the user said"),
        pytest.param((9, 9), 4, {"most": 3}, True, (3, 0), id="all that the user said are here"),
        pytest.param((900, 1), 4, {}, True, (4, 0), id="short tasks are not worth a new worker"),
        pytest.param((9, 9), 0, {}, True, (1, 8), id="the first workers"),
    ],
)
def test_so_many_slots_are_asked_and_wished_for(
    demand: tuple[int, int],
    workers: int,
    options: dict[str, Any],
    scales: bool,
    wanted: tuple[int, int],
) -> None:
    found, client = slots(*demand, **options)
    found.count([WORKER] * workers + [STRANGER])
    if scales:
        found.scales()
    found.settle()
    found.settle()
    assert (len(client.asked), client.wish) == wanted


def test_leases_that_wait_are_asked_for_anew_when_workers_come() -> None:
    found, client = slots(3)
    found.count([WORKER] * 2)
    found.settle()
    found.joined(client.asked[-1])
    before = len(client.asked)
    found.count([WORKER] * 3)
    found.settle()
    assert len(client.asked) - before == 2


def test_what_waits_is_withdrawn_when_there_is_less_to_do() -> None:
    demand = [5]
    client = Client()
    found = Slots(
        client,
        "s",
        None,
        lambda: (demand[0],) * 2,
        share=1.0,
        most=None,
        idle=None,
        waits=True,
        wish=client.wished,
    )
    found.count([WORKER] * 5)
    found.settle()
    found.joined(client.asked[0])
    demand[0] = 0
    found.settle()
    demand[0] = 2
    found.settle()
    assert len(client.asked) == 6


# -- real clusters ---------------------------------------------------------------------------------


@pytest.fixture
def cluster() -> Iterator[Any]:
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=0, threads_per_worker=1, processes=True, dashboard_address=":0"
    ) as cluster:
        yield cluster


@pytest.fixture
def engine(cluster: Any, watch: Watch, tmp_path: Path) -> Iterator[Any]:
    from jupyter_wf.engine.dask import DaskEngine
    from jupyter_wf.engine.store import open_store

    engine = DaskEngine(cluster.scheduler_address, idle=0.2)
    engine.start(open_store(str(tmp_path / "store")))
    engine.subscribe(watch)
    yield engine
    engine.close()


@pytest.fixture
def watch() -> Watch:
    return Watch()


def meeting(folder: Path, count: int) -> list[Any]:
    """Make tasks of which each ends only when all run at once."""
    folder.mkdir()
    return [
        cell(
            f"import pathlib, time\nhere = pathlib.Path({str(folder)!r})\n(here / '{i}').touch()\n"
            f"while len(list(here.iterdir())) < {count}: time.sleep(0.01)\nx = {i}",
            name=f"{folder.name}{i}",
            outputs=["x"],
        )
        for i in range(count)
    ]


@pytest.mark.slow
def test_a_cluster_that_adapts_grows_with_demand_and_shrinks_without(
    cluster: Any, engine: Any, watch: Watch, tmp_path: Path
) -> None:
    cluster.adapt(minimum=0, maximum=3, interval="50ms", wait_count=3)
    for name in ("first", "again"):
        jobs = meeting(tmp_path / name, 3)
        engine.submit(jobs, {})
        assert watch.end(*jobs) == ["stored"] * 3
        wait_until(lambda: not cluster.scheduler.workers, "all workers are gone")


@pytest.mark.slow
def test_a_worker_that_comes_is_used(
    cluster: Any, engine: Any, watch: Watch, tmp_path: Path
) -> None:
    cluster.scale(1)
    jobs = meeting(tmp_path / "meeting", 2)
    engine.submit(jobs, {})
    watch.reach(jobs[0], "running")
    cluster.scale(2)
    assert watch.end(*jobs) == ["stored"] * 2
