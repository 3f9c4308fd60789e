"""The embedded cluster: a scheduler in this process, workers in processes of their own.

Everything listens on loopback only and speaks TLS with a certificate made for this one cluster,
because an open port on loopback lets any user of the machine run code as you.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
from typing import Any

from distributed import Scheduler, Security
from distributed.deploy.spec import ProcessInterface, SpecCluster
from distributed.worker_memory import parse_memory_limit

LOOPBACK = "127.0.0.1"
CONFIG = {
    # Scaling would see no demand in leases if Dask believed what it measured of their durations.
    "distributed.scheduler.default-task-durations": {"wflease": "1h"},
    # Dask looks a hundred times a second at what its workers' threads do, which is always a lease;
    # a task's round trip took a fifth longer with it (measured with benchmarks.overhead).
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "200ms",
}


class Keeper(ProcessInterface):
    """One child process with all nannies; it ends when its standard input does.

    Parameters
    ----------
    scheduler : str
        Address of the scheduler.
    names : list of str
        One for each worker.
    security : Security
    options : dict
        For each `distributed.Nanny`.
    """

    def __init__(
        self,
        scheduler: str,
        names: list[str],
        security: Any,
        options: dict[str, Any],
        **_: Any,
    ) -> None:
        super().__init__()
        self.spec = {
            "scheduler": scheduler,
            "names": names,
            "options": options,
            "security": {
                name: value
                for name in security.__slots__
                if isinstance(value := getattr(security, name), str | bool) and value
            },
            "config": CONFIG,
            "path": [os.path.abspath(entry) for entry in sys.path],  # noqa: PTH100 - '' is cwd
            "cwd": os.getcwd(),  # noqa: PTH109 - as text
        }
        self.process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start the process; workers appear at the scheduler when they are ready."""
        # The key travels through the pipe: command lines and files can be read by others. What
        # tasks write past sys.stdout must not get into a program's standard output.
        self.process = subprocess.Popen(  # noqa: ASYNC220 - returns in milliseconds
            [sys.executable, "-m", __name__.rpartition(".")[0] + ".keeper"],
            stdin=subprocess.PIPE,
            stdout=2,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(self.spec["path"])},
            start_new_session=True,
        )
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(self.spec).encode() + b"\n")
        self.process.stdin.flush()
        await super().start()

    async def close(self) -> None:
        """End the process and its workers."""
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()
            try:
                await asyncio.to_thread(self.process.wait, 5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                await asyncio.to_thread(self.process.wait)
        self.process = None
        await super().close()


def embedded(workers: int | None = None) -> Any:
    """Start a cluster on this machine and return it; its workers come within seconds.

    Parameters
    ----------
    workers : int or None
        Worker processes of one thread each; None takes one per core.
    """
    count = workers or os.cpu_count() or 1
    security = Security.temporary()
    names = [f"local-{i}" for i in range(count)]
    options = {
        "nthreads": 1,
        "resources": {"wf": 1},
        "host": LOOPBACK,
        "dashboard_address": f"{LOOPBACK}:0",
        "dashboard": False,
        "memory_limit": parse_memory_limit("auto", 1, count, logger=logging.getLogger(__name__)),
        "silence_logs": logging.ERROR,
    }
    return SpecCluster(
        name="jupyter_wf",
        scheduler={
            "cls": Scheduler,
            "options": {
                "host": LOOPBACK,
                "port": 0,
                "protocol": "tls://",
                "security": security,
                "dashboard": False,
                "dashboard_address": f"{LOOPBACK}:0",
            },
        },
        workers={
            "local": {
                "cls": Keeper,
                "options": {"names": names, "security": security, "options": options},
                "group": [f"-{i}" for i in range(count)],
            }
        },
        security=security,
        silence_logs=logging.ERROR,
    )
