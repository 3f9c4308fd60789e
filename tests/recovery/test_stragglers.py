"""A task that hangs on one worker is done by another, if that was asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from jupyter_wf.engine.abc import Job
from jupyter_wf.engine.dask import DaskEngine
from jupyter_wf.engine.dask.cluster import embedded
from jupyter_wf.engine.store import open_store
from jupyter_wf.engine.testing import Watch, cell
from jupyter_wf.events import TaskComputed
from jupyter_wf.fingerprint import data_key

pytestmark = pytest.mark.slow


def jobs(folder: Path) -> list[Job]:
    """Make four calls of one code, of which only the very first execution of the last hangs."""
    source = (
        "import pathlib, time\n"
        f"log = pathlib.Path({str(folder / 'log')!r})\n"
        "with log.open('a') as file:\n    file.write('x')\n"
        "if len(log.read_text()) == 4:\n    time.sleep(600)\n"
        "x = 1"
    )
    one = cell(source, name="same", outputs=["x"], cache=False)
    keys = [f"{number}{one.key[1:]}" for number in range(4)]
    return [replace(one, key=key, outputs=(("x", data_key(key, "x")),)) for key in keys]


def test_a_task_that_hangs_is_done_elsewhere_and_committed_once(tmp_path: Path) -> None:
    cluster = embedded(2)
    engine, watch = DaskEngine(cluster, speculate=3.0), Watch()
    store = open_store(str(tmp_path / "store"))
    engine.start(store)
    engine.subscribe(watch)
    try:
        *quick, slow = jobs(tmp_path)
        for job in quick:
            engine.submit([job], {})
            assert watch.end(job) == ["stored"]
        # Something else has both workers give a slot, which one task alone would not need.
        pair = [cell(f"import time\ntime.sleep(0.5)\ny = {i}", outputs=["y"]) for i in range(2)]
        engine.submit([slow, *pair], {})
        assert watch.end(slow) == ["stored"]
        (done,) = watch.of(slow, TaskComputed)
        assert done.attempt == 2
        engine.flush(30)
        store.refresh()
        assert sum(record.key == slow.key for record in store.records()) == 1
        assert (tmp_path / "log").read_text() == "xxxxx"
    finally:
        engine.close()
        cluster.close()
