"""Clusters of every kind are connected to: each that can be had on one machine runs here.

Each in a process of its own (``python test_deployments.py KIND FOLDER``): what these packages leave
to the garbage collector at their own end is not ours to judge.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

import jupyter_wf as wf
from jupyter_wf.engine.dask import DaskEngine
from jupyter_wf.engine.testing import wait_until
from jupyter_wf.errors import EngineError

LOCAL = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": ":0"}

SBATCH = """#!/bin/sh
job="$(dirname "$0")/job.$$"
cp "$1" "$job"
setsid sh "$job" > "$job.log" 2>&1 &
echo "Submitted batch job $!"
"""
SCANCEL = """#!/bin/sh
for job; do kill -TERM -- "-$job"; done
"""
GATEWAY = """
c.DaskGateway.backend_class = "dask_gateway_server.backends.local.UnsafeLocalBackend"
c.DaskGateway.authenticator_class = "dask_gateway_server.auth.SimpleAuthenticator"
c.DaskGateway.address = "127.0.0.1:0"
c.Proxy.address = "127.0.0.1:{http}"
c.Proxy.tcp_address = "127.0.0.1:{tcp}"
c.UnsafeLocalBackend.clusters_directory = {folder!r}
c.ClusterConfig.scheduler_cmd = [{folder!r} + "/scheduler"]
c.ClusterConfig.worker_cmd = [{folder!r} + "/worker"]
"""


def program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        for found in (one, other):
            found.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def local(stack: ExitStack, folder: Path) -> Any:
    from distributed import LocalCluster

    return stack.enter_context(LocalCluster(**LOCAL))


def threads(stack: ExitStack, folder: Path) -> Any:
    from distributed import LocalCluster

    return stack.enter_context(LocalCluster(processes=False, **LOCAL))


def secure(stack: ExitStack, folder: Path) -> Any:
    from distributed import LocalCluster

    return stack.enter_context(LocalCluster(security=True, protocol="tls://", **LOCAL))


def spec(stack: ExitStack, folder: Path) -> Any:
    from distributed import Nanny, Scheduler, SpecCluster

    worker = {"cls": Nanny, "options": {"nthreads": 1}}
    scheduler = {"cls": Scheduler, "options": {"dashboard_address": ":0", "host": "127.0.0.1"}}
    return stack.enter_context(SpecCluster(workers={0: worker}, scheduler=scheduler))


def client(stack: ExitStack, folder: Path) -> Any:
    from distributed import Client

    return stack.enter_context(Client(local(stack, folder), set_as_default=False))


def address(stack: ExitStack, folder: Path) -> Any:
    return local(stack, folder).scheduler_address


def jobqueue(stack: ExitStack, folder: Path) -> Any:
    """Jobs of Slurm, but that ``sbatch`` runs its script on this machine, at once."""
    import dask_jobqueue

    program(folder / "sbatch", SBATCH)
    program(folder / "scancel", SCANCEL)
    os.environ["PATH"] = f"{folder}:{os.environ['PATH']}"
    cluster = dask_jobqueue.SLURMCluster(
        cores=1,
        memory="1GB",
        interface="lo",
        python=sys.executable,
        scheduler_options={"dashboard_address": ":0"},
        log_directory=str(folder / "logs"),
    )
    stack.enter_context(cluster)
    cluster.adapt(minimum=0, maximum=2, interval="100ms")
    return cluster


def gateway(stack: ExitStack, folder: Path) -> Any:
    """A gateway and its proxy; schedulers and workers are processes of this machine."""
    from dask_gateway import Gateway
    from dask_gateway.auth import BasicAuth

    for name in ("scheduler", "worker"):
        run = f'exec {sys.executable} -m distributed.cli.dask_{name} "$@"\n'
        program(folder / name, f"#!/bin/sh\nexport PYTHONPATH='{os.environ['PYTHONPATH']}'\n{run}")
    http, tcp = free_ports()
    config = folder / "config.py"
    config.write_text(GATEWAY.format(http=http, tcp=tcp, folder=str(folder)))
    server = Path(sys.executable).with_name("dask-gateway-server")
    with (folder / "gateway.log").open("w") as log:
        process = subprocess.Popen([server, "-f", config], cwd=folder, stdout=log, stderr=log)
    stack.callback(process.wait)
    stack.callback(process.terminate)

    def answers() -> bool:
        assert process.poll() is None, (folder / "gateway.log").read_text()
        with suppress(OSError), urlopen(f"http://127.0.0.1:{http}/api/health", timeout=5):
            return True
        return False

    wait_until(answers, "the gateway answers")
    found = stack.enter_context(
        Gateway(
            f"http://127.0.0.1:{http}",
            proxy_address=f"gateway://127.0.0.1:{tcp}",
            auth=BasicAuth("somebody"),
        )
    )
    cluster = stack.enter_context(found.new_cluster(shutdown_on_close=True))
    cluster.adapt(minimum=0, maximum=2)
    return cluster


def add(a: int, b: int) -> int:
    return a + b


def run(kind: str, folder: Path) -> None:
    with ExitStack() as stack:
        target = KINDS[kind](stack, folder)
        with wf.Workflow(DaskEngine(target), folder / "store") as flow:
            total = flow.put(1)
            for step in (2, 3):
                total = wf.task(add).invoke(total, step)
            print(total.get(), flush=True)


async def run_asynchronous(folder: Path) -> None:
    from distributed import Client, LocalCluster

    cluster = LocalCluster(asynchronous=True, **LOCAL)
    with wf.Workflow(wf.LocalEngine(workers=1), folder / "store") as flow:
        refused(flow, cluster)
        async with cluster:
            client = Client(cluster, asynchronous=True, set_as_default=False)
            refused(flow, client)
            async with client:
                for number, target in enumerate((cluster, client)):
                    await asyncio.to_thread(flow.connect, target)
                    print(await wf.task(add).invoke(number, 2), flush=True)


def refused(flow: wf.Workflow, target: object) -> None:
    try:
        flow.connect(target)
    except EngineError as error:
        print("Await it first" in str(error), flush=True)


def process(kind: str, folder: Path) -> list[str]:
    path = os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, __file__, kind, folder],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.split() or [done.stderr]


KINDS = {
    "local": local,
    "threads": threads,
    "secure": secure,
    "spec": spec,
    "client": client,
    "address": address,
    "jobqueue": jobqueue,
    "gateway": gateway,
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_cluster_runs_tasks(kind: str, tmp_path: Path) -> None:
    if kind == "gateway" and sys.platform != "linux":
        pytest.skip("its server runs on Linux only")
    assert process(kind, tmp_path) == ["6"]


@pytest.mark.slow
def test_asynchronous_clusters_and_clients_are_used_once_they_are_awaited(tmp_path: Path) -> None:
    assert process("asynchronous", tmp_path) == ["True", "True", "2", "3"]


if __name__ == "__main__":
    if sys.argv[1] == "asynchronous":
        asyncio.run(run_asynchronous(Path(sys.argv[2])))
    else:
        run(sys.argv[1], Path(sys.argv[2]))
