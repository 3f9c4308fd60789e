"""A worker that is told to go hands back what it has not begun, and loses nothing it computed."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from dask_processes import Process, scheduler, worker, worker_of

from jupyter_wf.engine.dask import DaskEngine
from jupyter_wf.engine.store import open_store
from jupyter_wf.engine.testing import Watch, cell
from jupyter_wf.events import TaskComputed, WorkerChanged

pytestmark = pytest.mark.slow
TASKS = 300


def terminate_worker(address: str, nanny: Process) -> None:
    found = worker_of(nanny)
    assert found is not None
    found.send_signal(signal.SIGTERM)


def terminate_nanny(address: str, nanny: Process) -> None:
    nanny.send_signal(signal.SIGTERM)


def retire(address: str, nanny: Process) -> None:
    from distributed import Client

    found = worker_of(nanny)
    assert found is not None
    ports = {c.laddr.port for c in found.net_connections() if c.status == psutil.CONN_LISTEN}
    with Client(address, set_as_default=False) as client:
        workers = client.scheduler_info(n_workers=-1)["workers"]
        client.retire_workers([w for w in workers if int(w.rpartition(":")[2]) in ports])


@pytest.mark.parametrize("notice", [terminate_worker, terminate_nanny, retire])
def test_a_worker_that_is_told_to_go_loses_nothing(
    notice: Callable[[str, Process], None], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with scheduler(tmp_path) as (address, _), worker(address) as first, worker(address):
        engine, watch = DaskEngine(address), Watch()
        store = open_store(str(tmp_path / "store"))
        engine.start(store)
        engine.subscribe(watch)
        jobs = [
            cell(
                f"import time\nwith open({str(log)!r}, 'a') as file:\n    file.write('x')\n"
                f"time.sleep(0.01)\nx = {i}",
                name="n",
                outputs=["x"],
            )
            for i in range(TASKS)
        ]
        jobs = [_as(job, i) for i, job in enumerate(jobs)]
        engine.submit(jobs, {})
        watch.until(lambda: sum(isinstance(e, TaskComputed) for e in watch.events) > TASKS // 4)
        notice(address, first)
        assert watch.end(*jobs) == ["stored"] * TASKS
        states = [e.state for e in watch.events if isinstance(e, WorkerChanged)]
        assert "leaving" in states
        watch.until(lambda: "left" in [e.state for e in watch.events if type(e) is WorkerChanged])
        assert len(log.read_text()) == TASKS, "no body ran twice"
        store.refresh()
        assert len([*store.records()]) == TASKS
        engine.close()


def _as(job: Any, number: int) -> Any:
    from dataclasses import replace

    key = f"{number:08x}{job.key[8:]}"
    return replace(job, key=key, outputs=(("x", f"{number:08x}{job.outputs[0][1][8:]}"),))
