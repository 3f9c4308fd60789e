"""Schedulers and workers of Dask as processes of their own, started by its command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from jupyter_wf.engine.testing import wait_until

Process = subprocess.Popen[Any]


def _start(program: str, *arguments: str, before: Sequence[str] = (), **env: str) -> Process:
    command = [*before, sys.executable, "-m", f"distributed.cli.{program}", *arguments]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment() | env)


def environment() -> dict[str, str]:
    """Return the environment of a process that is to import what this one does."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}


@contextmanager
def scheduler(folder: Path, host: str = "127.0.0.1") -> Iterator[tuple[str, Process]]:
    """Start a scheduler; give its address, and its process."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "scheduler.json"
    file.unlink(missing_ok=True)
    process = _start(
        "dask_scheduler", "--no-dashboard", "--port", "0", "--host", host, "--scheduler-file",
        str(file),
    )  # fmt: skip
    try:
        yield _address(file), process
    finally:
        end(process)


@contextmanager
def worker(
    address: str, *options: str, host: str = "127.0.0.1", before: Sequence[str] = (), **env: str
) -> Iterator[Process]:
    """Start a nanny with a worker of one thread; give the nanny's process.

    Parameters
    ----------
    address : str
        Of the scheduler.
    *options : str
        More for Dask's command line.
    host : str
        Where to listen.
    before : sequence of str
        What the command is started with, such as ``("ip", "netns", "exec", name)``.
    **env : str
        More environment variables.
    """
    arguments = (address, "--nthreads", "1", "--no-dashboard", "--host", host, *options)
    process = _start("dask_worker", *arguments, before=before, **env)
    try:
        yield process
    finally:
        end(process)


def worker_of(nanny: Process) -> psutil.Process | None:
    """Return the process of a nanny's worker, unless it is being started again."""
    for child in psutil.Process(nanny.pid).children():
        if "spawn_main" in " ".join(child.cmdline()):
            return child
    return None


def _address(file: Path) -> str:
    """Return the address that a scheduler writes into a file, not all at once."""

    def address() -> str | None:
        with suppress(json.JSONDecodeError, FileNotFoundError):
            return str(json.loads(file.read_text())["address"])
        return None

    return wait_until(address, "the scheduler says its address")


def end(process: Process) -> None:
    """Kill a process and all that it started."""
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                child.kill()
    process.kill()
    process.wait()
