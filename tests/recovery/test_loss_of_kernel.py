"""A kernel is killed that left its cluster nothing to go on with: what ran ends, and is kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from dask_processes import environment, scheduler, worker

from jupyter_wf.engine.dask import DaskEngine
from jupyter_wf.engine.store import open_store
from jupyter_wf.engine.testing import Watch, cell, wait_for_file, wait_until

pytestmark = pytest.mark.slow

PROGRAM = """
import sys, time
from jupyter_wf.engine.dask import DaskEngine
from jupyter_wf.engine.store import open_store
from jupyter_wf.engine.testing import cell
address, store, source = sys.argv[1:]
engine = DaskEngine(address, guarded=False)
engine.start(open_store(store))
engine.submit([cell(source, name="long", outputs=["x"])], {})
time.sleep(600)
"""


def test_what_runs_when_the_kernel_dies_is_finished_and_kept(tmp_path: Path) -> None:
    log, go = tmp_path / "log", tmp_path / "go"
    source = (
        "import pathlib, time\n"
        f"with open({str(log)!r}, 'a') as file:\n    file.write('x')\n"
        f"while not pathlib.Path({str(go)!r}).exists():\n    time.sleep(0.01)\n"
        "x = 42"
    )
    job = cell(source, name="long", outputs=["x"])
    folder = tmp_path / "store"
    with scheduler(tmp_path) as (address, _), worker(address):
        kernel = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, address, str(folder), source], env=environment()
        )
        wait_for_file(log)
        kernel.kill()
        kernel.wait()
        go.touch()
        store = open_store(str(folder))

        def kept() -> bool:
            store.refresh()
            return store.find(job.key) is not None

        wait_until(kept, "what the worker computed is kept")
        # Another kernel finds it, and the slot is free again.
        engine, watch = DaskEngine(address), Watch()
        engine.start(store)
        engine.subscribe(watch)
        after = cell("y = 1", name="after", outputs=["y"])
        engine.submit([job, after], {})
        assert watch.end(job, after) == ["cached", "stored"]
        engine.close()
    assert log.read_text() == "x"
