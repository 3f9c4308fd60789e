"""A time limit stops the work, whatever the work is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_wf.engine.dask import DaskEngine
from jupyter_wf.engine.dask.cluster import embedded
from jupyter_wf.engine.store import open_store
from jupyter_wf.engine.testing import Watch, cell
from jupyter_wf.events import TaskFailed

pytestmark = pytest.mark.slow
LONG = {
    "Python": "while True: pass",
    "sleep": "import time\ntime.sleep(600)",
    "C without the lock": "import ctypes\nctypes.CDLL(None).sleep(600)",
    "C with the lock": "import ctypes\nctypes.PyDLL(None).sleep(600)",
    "deaf": "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    cluster = embedded(1)
    yield cluster
    cluster.close()


@pytest.mark.parametrize("what", LONG)
def test_an_attempt_ends_at_its_limit_and_its_worker_is_used_again(
    what: str, cluster: Any, tmp_path: Path
) -> None:
    engine, watch = DaskEngine(cluster), Watch()
    engine.start(open_store(str(tmp_path / "store")))
    engine.subscribe(watch)
    try:
        before = cell("x = [1]", name="before", outputs=["x"])
        engine.submit([before], {})
        assert watch.end(before) == ["stored"]
        stuck = cell(LONG[what], name="stuck", outputs=["x"], timeout=0.5)
        engine.submit([stuck], {})
        assert watch.end(stuck) == ["error"]
        (failed,) = watch.of(stuck, TaskFailed)
        assert (failed.failure.type, failed.attempt) == ("TimeoutError", 1)
        next_ = cell("x = 2", name="next", outputs=["x"])
        engine.submit([next_], {})
        assert watch.end(next_) == ["stored"]
    finally:
        engine.close()
