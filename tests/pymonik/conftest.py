from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0
#: What programs, schedulers and workers are started with: this very package, and nothing of ours.
ENV = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "default"}


def dask(*arguments: str, folder: Path) -> subprocess.Popen[bytes]:
    """Start a part of a cluster, as people do."""
    with (folder / f"{arguments[0]}.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "dask", *arguments],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=ENV,
        )


def wait_for(found: Callable[[], Any], folder: Path) -> Any:
    end = time.monotonic() + PATIENCE
    while not (value := found()):
        if time.monotonic() > end:
            logs = "\n".join(path.read_text("utf-8") for path in folder.glob("*.log"))
            raise AssertionError(f"The cluster did not start:\n{logs}")
        time.sleep(0.05)
    return value


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return HOST:PORT of a scheduler with two workers, all started by the command line."""
    folder = tmp_path_factory.mktemp("cluster")
    about = folder / "scheduler.json"
    local = ["--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0"]
    parts = [
        dask("scheduler", "--port", "0", "--scheduler-file", str(about), *local, folder=folder)
    ]
    try:
        wait_for(about.exists, folder)
        address = json.loads(about.read_text("utf-8"))["address"]
        parts.append(
            dask(
                *("worker", address, "--nworkers", "2", "--nthreads", "1", *local),
                *("--local-directory", str(folder)),
                folder=folder,
            )
        )
        yield address.removeprefix("tcp://")
    finally:
        family = [c for part in parts for c in psutil.Process(part.pid).children(recursive=True)]
        for part in reversed(parts):
            part.send_signal(signal.SIGTERM)
        for part in parts:
            try:
                part.wait(20)
            except subprocess.TimeoutExpired:
                part.kill()
        for left in psutil.wait_procs(family, timeout=5)[1]:
            left.kill()


@pytest.fixture
def run(endpoint: str, tmp_path: Path) -> Callable[..., str]:
    """Return what runs a program in a process of its own and returns what it prints."""

    def run(program: str, **env: str) -> str:
        path = tmp_path / "program.py"
        path.write_text(program.replace("localhost:5001", endpoint), "utf-8")
        done = subprocess.run(
            [sys.executable, str(path)],
            check=False,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**ENV, **env},
            timeout=240,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run
