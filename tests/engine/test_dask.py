from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from programs import run

from jupyter_wf.engine.abc import Engine
from jupyter_wf.engine.testing import (
    PATIENCE,
    EngineTests,
    ProcessTests,
    Watch,
    cell,
    out,
    wait_until,
)
from jupyter_wf.errors import EngineError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    from jupyter_wf.engine.dask.cluster import embedded

    cluster = embedded(2)
    yield cluster
    cluster.close()


class TestDaskEngine(ProcessTests, EngineTests):
    @pytest.fixture
    def engine(self, cluster: Any) -> Iterator[Engine]:
        from jupyter_wf.engine.dask import DaskEngine

        engine = DaskEngine(cluster)
        yield engine
        engine.close()

    def test_a_value_from_outside_is_sent_to_a_worker_once(
        self, cluster: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from jupyter_wf.engine.dask import DaskEngine
        from jupyter_wf.engine.dask.link import Link
        from jupyter_wf.engine.store import open_store

        sent: list[str] = []
        hand = Link.hand

        def spy(self: Link, order: Any, values: Any) -> None:
            values = [*values]
            sent.extend(value.id for value in values)
            hand(self, order, values)

        monkeypatch.setattr(Link, "hand", spy)
        engine, watch = DaskEngine(cluster, 1), Watch()
        store = open_store("memory://")
        engine.start(store)
        engine.subscribe(watch)
        given = store.put(list(range(10_000)))
        data = "d" * 40
        for i in range(5):
            job = cell(f"x = v[{i}]", name=f"n{i}", inputs=[("v", data)], outputs=["x"])
            engine.submit([job], {data: given.id})
            assert watch.end(job) == ["stored"]
        engine.close()
        assert sent == [given.id]

    def test_slots_are_given_back_when_idle(self, cluster: Any, tmp_path: Any) -> None:
        from distributed import Client

        from jupyter_wf.engine.dask import DaskEngine
        from jupyter_wf.engine.store import open_store

        engine, watch = DaskEngine(cluster, idle=0.1), Watch()
        engine.start(open_store(str(tmp_path / "s")))
        engine.subscribe(watch)
        job = cell("x = 1", name="one", outputs=["x"])
        engine.submit([job], {})
        assert watch.end(job) == ["stored"]
        with Client(cluster, set_as_default=False) as client:
            wait_until(lambda: not client.run_on_scheduler(_leases), "the slots are free")
            assert client.submit(len, [1, 2, 3]).result(timeout=PATIENCE) == 3
        other = cell("x = 2", name="two", outputs=["x"])
        engine.submit([other], {})
        assert watch.end(other) == ["stored"]
        engine.close()


def _leases(dask_scheduler: Any) -> int:
    return sum(str(key).startswith("wflease") for key in dask_scheduler.tasks)


def test_every_listener_is_on_loopback_and_speaks_only_to_its_own(cluster: Any) -> None:
    import psutil
    from distributed import Client, Security

    seen: list[tuple[str, int]] = []
    with Client(cluster, set_as_default=False) as client:
        client.wait_for_workers(2)
        for process in map(psutil.Process, (os.getpid(), *client.run(os.getpid).values())):
            seen += [
                (connection.laddr.ip, connection.laddr.port)
                for connection in process.net_connections(kind="inet")
                if connection.status == psutil.CONN_LISTEN
            ]
        assert len(seen) >= 7, "scheduler, two nannies, two workers, and HTTP of three"
        assert {ip for ip, _ in seen} == {"127.0.0.1"}
        address = client.scheduler.address
        assert address.startswith("tls://")
        workers = [*client.scheduler_info(n_workers=-1)["workers"]]
    for target in (address, *workers):
        assert not _greets(target.replace("tls://", "tcp://"), None, 5)
        assert not _greets(target, Security.temporary(), 5)
        assert _greets(target, cluster.security, PATIENCE)


def _greets(address: str, security: Any, patience: float) -> bool:
    import asyncio

    from distributed.core import connect

    async def greet() -> bool:
        args = security.get_connection_args("client") if security else {}
        try:
            comm = await connect(address, timeout=patience, **args)
            await comm.write({"op": "identity"})
            return bool(await asyncio.wait_for(comm.read(), patience))
        except (OSError, TimeoutError):
            return False

    return asyncio.run(greet())


PROGRAM = """
import sys, time
from jupyter_wf.engine.dask import DaskEngine
from jupyter_wf.engine.store import open_store
from jupyter_wf.engine.testing import Watch, cell, out
import helper_beside_the_script
print("main runs", flush=True)
engine, watch = DaskEngine(workers=1), Watch()
engine.start(open_store(sys.argv[1]))
engine.subscribe(watch)
job = cell("import helper_beside_the_script as h\\nx = h.answer", name="one", outputs=["x"])
engine.submit([job], {})
assert watch.end(job) == ["stored"]
print("value", engine.value(out(job)), flush=True)
if sys.argv[2] == "stay":
    sys.stdin.read()
engine.close()
"""


def test_a_plain_script_needs_no_guard_and_finds_modules_beside_it(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(PROGRAM)
    (tmp_path / "helper_beside_the_script.py").write_text("answer = 42\n")
    printed = run(tmp_path, "python", "script.py", "store", "leave")
    assert printed.splitlines() == ["main runs", "value 42"]


EDITS = """
import importlib, pathlib, sys, time
import jupyter_wf as wf
from jupyter_wf.closure import cell_code
from jupyter_wf.engine.dask import DaskEngine
from jupyter_wf.graph import Task
import edited_beside
body = "import edited_beside\\ny = edited_beside.f()"
engine = DaskEngine(workers=1)
flow = wf.Workflow(engine, sys.argv[1])
for content in ("return 1", "return 2", "return 'three'", "return 1"):
    pathlib.Path("edited_beside.py").write_text(f"def f():\\n    {content}\\n")
    pathlib.Path(importlib.util.cache_from_source("edited_beside.py")).unlink(missing_ok=True)
    importlib.invalidate_caches()
    importlib.reload(edited_beside)
    code = cell_code(body, {}, label="cell", filename="<cell>", first_line=1)
    (y,) = flow.define(Task("cell", code, (), (("y", "y"),)))
    y.wait()
    print(repr(y.get()), y.state, engine.executions()["cell"], flush=True)
flow.close()
"""


def test_a_module_edited_beside_the_script_is_followed(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(EDITS)
    (tmp_path / "edited_beside.py").write_text("def f(): return 0\n")
    found = [line.split() for line in run(tmp_path, "python", "script.py", "store").splitlines()]
    assert [value for value, _, _ in found] == ["1", "2", "'three'", "1"]
    assert [runs for _, _, runs in found] == ["1", "2", "3", "3"]


def test_workers_do_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    import psutil

    (tmp_path / "script.py").write_text(PROGRAM)
    (tmp_path / "helper_beside_the_script.py").write_text("answer = 42\n")
    process = subprocess.Popen(
        [sys.executable, "script.py", "store", "stay"],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("value"):
            break
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= 2
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(children, timeout=PATIENCE)
    assert not alive


def test_a_lost_scheduler_is_an_error_and_not_a_wait(tmp_path: Path) -> None:
    from jupyter_wf.engine.dask import DaskEngine
    from jupyter_wf.engine.dask.cluster import embedded
    from jupyter_wf.engine.store import open_store

    cluster = embedded(1)
    engine, watch = DaskEngine(cluster), Watch()
    engine.start(open_store(str(tmp_path / "s")))
    engine.subscribe(watch)
    done = cell("x = 1", name="done", outputs=["x"])
    stuck = cell("while True: pass", name="stuck", outputs=["x"])
    try:
        engine.submit([done], {})
        assert watch.end(done) == ["stored"]
        engine.submit([stuck], {})
        watch.reach(stuck, "running")
        cluster.close()
        assert watch.end(stuck) == ["cancelled"]
        with pytest.raises(EngineError, match="does not answer any more"):
            engine.submit([stuck], {})
        with pytest.raises(EngineError, match="does not answer any more"):
            engine.value(out(stuck))
    finally:
        engine.close()


@pytest.mark.parametrize("target", ["tcp://127.0.0.1:1", "nonsense", "foo://bar:1", 42])
def test_where_nobody_listens_is_named_and_all_stays_as_it_was(
    tmp_path: Path, target: object
) -> None:
    import dask

    import jupyter_wf as wf
    from jupyter_wf.engine.dask import DaskEngine
    from jupyter_wf.engine.dask.session import HERE

    with wf.Workflow(wf.LocalEngine(workers=1), tmp_path / "store") as flow:
        before, sessions = flow.engine, set(HERE)
        failing = DaskEngine(target)
        with (
            dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
            pytest.raises(EngineError, match="No connection") as found,
        ):
            flow.connect(failing)
        assert repr(target) in str(found.value)
        assert "tcp://host:8786" in str(found.value)
        assert flow.engine is before
        assert set(HERE) == sessions
        with pytest.raises(EngineError, match="closed"):
            failing.submit([cell("x = 1", outputs=["x"])], {})
        assert flow.put(41).get() == 41


def test_a_cluster_that_is_closed_is_refused(tmp_path: Path) -> None:
    import dask
    from distributed import Client, LocalCluster

    from jupyter_wf.engine.dask import DaskEngine
    from jupyter_wf.engine.store import open_store

    cluster = LocalCluster(n_workers=0, processes=False, dashboard_address=":0")
    client = Client(cluster, set_as_default=False)
    client.close()
    cluster.close()
    for target in (client, cluster):
        with (
            dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
            pytest.raises(EngineError, match="No connection"),
        ):
            DaskEngine(target).start(open_store(str(tmp_path / "s")))
