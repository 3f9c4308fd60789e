"""What Dask workers offer: partitions and devices of real schedulers and workers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from dask_processes import scheduler, worker

from jupyter_wf.engine import devices
from jupyter_wf.engine.abc import Job
from jupyter_wf.engine.dask import DaskEngine
from jupyter_wf.engine.store import open_store
from jupyter_wf.engine.testing import Watch, cell, out

TELLS = """
import os
from jupyter_wf import context
x = context().gpus, os.environ.get("CUDA_VISIBLE_DEVICES"), {}
"""


def job(name: str, **asked) -> Job:
    return cell(TELLS.format(repr(name)), name=name, outputs=["x"], **asked)


def test_what_cuda_sees_and_what_a_task_is_shown(monkeypatch) -> None:
    monkeypatch.setenv(devices.VISIBLE, "3, GPU-8a,-1")
    assert devices.seen() == ("3", "GPU-8a")
    with devices.only(["GPU-8a"]):
        assert os.environ[devices.VISIBLE] == "GPU-8a"
    assert os.environ[devices.VISIBLE] == "3, GPU-8a,-1"
    monkeypatch.delenv(devices.VISIBLE)
    with devices.only(["0"]):
        assert devices.seen() == ("0",)
    assert devices.VISIBLE not in os.environ


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, Callable[..., None]]]:
    """Return the address of a scheduler, and what starts a worker of it."""
    with ExitStack() as stack:
        address, _ = stack.enter_context(scheduler(tmp_path))

        def join(resources: str = "", **env: str) -> None:
            options = ["--resources", resources] if resources else []
            stack.enter_context(worker(address, *options, **env))

        yield address, join


@pytest.mark.slow
def test_workers_say_what_they_have_and_tasks_find_them(cluster) -> None:
    address, join = cluster
    engine, watch = DaskEngine(address), Watch()
    engine.start(open_store("memory://"))
    engine.subscribe(watch)
    one = job("one", partition="gpu", gpu=1000)
    engine.submit([one], {})
    watch.until(lambda: "none is here" in watch.why(one))
    join("GPU=1 partition-other=1")
    watch.until(lambda: watch.why(one) == "asks for partition 'gpu'; there is 'other'")
    join(DASK_JUPYTER_WF__PARTITION="gpu")
    watch.until(
        lambda: (
            watch.why(one) == "asks for 1 gpu; the workers of partition 'gpu' have none (1 worker)"
        )
    )
    assert watch.state(one) == "ready"
    join("GPU=2 partition-gpu=1 license=1", DASK_JUPYTER_WF__GPU_MEMORY="16GB")
    assert watch.end(one) == ["stored"]
    assert engine.value(out(one)) == (("0",), "0", "one")
    two = job("two", gpu=2000, gpu_memory=16_000, resources=(("license", 1000),))
    three = job("three", partition="other", gpu=300)
    engine.submit([two, three], {})
    assert watch.end(two, three) == ["stored"] * 2
    assert engine.value(out(two)) == (("0", "1"), "0,1", "two")
    offers = {worker.partition: worker.offer for worker in engine.offers() if worker.offer.named}
    assert [device.memory for device in offers["gpu"].devices] == [16_000] * 2
    assert offers["gpu"].named == (("license", 1000),)
    assert len(engine.offers()) == 3
    engine.close()


@pytest.mark.slow
def test_the_embedded_cluster_takes_partitions() -> None:
    partitions = {"gpu": {"workers": 2, "gpu": 1, "gpu_memory": "8GB", "memory": "1GB"}}
    engine, watch = DaskEngine(workers=1, partitions=partitions), Watch()
    assert [worker.partition for worker in engine.offers()] == [None, "gpu", "gpu"]
    planned = engine.offers()[1].offer
    engine.start(open_store("memory://"))
    engine.subscribe(watch)
    plain, half = job("plain"), job("half", partition="gpu", gpu=500, memory=900)
    whole, other = job("whole", gpu=1000, priority=1), job("other", gpu=1000)
    engine.submit([plain, half, whole, other], {})
    assert watch.end(plain, half, whole, other) == ["stored"] * 4
    assert engine.value(out(half))[0] == ("0",)
    assert engine.value(out(half))[1] == "0"
    assert engine.value(out(plain))[0] == ()
    (offer,) = {w.offer._replace(devices=()) for w in engine.offers() if w.partition == "gpu"}
    assert offer == planned._replace(devices=())
    # Two processes of the partition share its one device.
    assert len({d.id for w in engine.offers() for d in w.offer.devices}) == 1
    engine.close()
