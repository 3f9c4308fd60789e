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
from collections.abc import Mapping
from typing import Any

from distributed import Scheduler, Security
from distributed.deploy.spec import ProcessInterface, SpecCluster
from distributed.worker_memory import parse_memory_limit

from jupyter_wf.engine.dask.offering import PARTITION, partition_of
from jupyter_wf.engine.devices import memory, seen
from jupyter_wf.resources import UNSAID, WHOLE, Device, Offer, Words, Worker, idle, offer_of

LOOPBACK = "127.0.0.1"
CONFIG = {
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
    workers : dict
        Name → options of its `distributed.Nanny` beside those that all have.
    security : Security
    options : dict
        Of all of them.
    """

    def __init__(
        self,
        scheduler: str,
        workers: dict[str, dict[str, Any]],
        security: Any,
        options: dict[str, Any],
        **_: Any,
    ) -> None:
        super().__init__()
        self.spec = {
            "scheduler": scheduler,
            "workers": workers,
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


def embedded(workers: int | None = None, partitions: Mapping[str, Words] | None = None) -> Any:
    """Start a cluster on this machine and return it; its workers come within seconds.

    Parameters
    ----------
    workers : int or None
        Worker processes of one thread each; None takes one per core.
    partitions : mapping, optional
        Name → what further workers have; see `planned`.
    """
    security = Security.temporary()
    everyone = _workers(workers, partitions or {})
    options = {
        "nthreads": 1,
        "host": LOOPBACK,
        "dashboard_address": f"{LOOPBACK}:0",
        "dashboard": False,
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
                "options": {"workers": everyone, "security": security, "options": options},
                "group": [name.removeprefix("local") for name in everyone],
            }
        },
        security=security,
        silence_logs=logging.ERROR,
    )


def planned(workers: int | None, partitions: Mapping[str, Words]) -> tuple[Worker, ...]:
    """Return what the workers of an embedded cluster will offer."""
    found = []
    for name, options in _workers(workers, partitions).items():
        partition = partition_of(options["resources"])
        if partition is None:
            offer = Offer(WHOLE, tuple([Device(f"/{n}", n, memory(n)) for n in seen()]))
        else:
            offer = offer_of({**partitions[partition], "workers": 1}, f"local-{partition}")
        offer = offer._replace(memory=options["memory_limit"] // 10**6 or UNSAID)
        found.append(idle(name, partition, offer))
    return tuple(found)


def _workers(workers: int | None, partitions: Mapping[str, Words]) -> dict[str, dict[str, Any]]:
    """Return what each worker has of its own, by name."""
    count = workers if workers is not None else os.cpu_count() or 1
    total = count + sum(int(words.get("workers", 1)) for words in partitions.values())
    share = parse_memory_limit("auto", 1, total, logger=logging.getLogger(__name__)) or 0
    found: dict[str, dict[str, Any]] = {
        f"local-{i}": {"resources": {"wf": 1}, "memory_limit": share} for i in range(count)
    }
    devices = [*seen()]
    for partition, words in partitions.items():
        offer = offer_of(words, partition)
        number = len(offer.devices)
        # Each partition has devices of its own: those of this machine as far as they go.
        devices += [str(i) for i in range(len(devices), number)]
        own, devices = devices[:number], devices[number:]
        settings = {"DASK_JUPYTER_WF__GPUS": repr(own)}
        if number and offer.devices[0].memory != UNSAID:
            settings["DASK_JUPYTER_WF__GPU_MEMORY"] = f"{offer.devices[0].memory}MB"
        named = {name: amount / WHOLE for name, amount in offer.named}
        for i in range(int(words.get("workers", 1))):
            found[f"local-{partition}-{i}"] = {
                "resources": {"wf": 1, PARTITION + partition: 1, **named},
                "memory_limit": share if offer.memory == UNSAID else offer.memory * 10**6,
                "env": settings,
            }
    return found
