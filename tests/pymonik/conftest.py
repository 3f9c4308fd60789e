from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dask_processes import scheduler, worker

#: The endpoints in programs, for which that of the cluster here is put.
LISTED = re.compile(r"localhost:\d+")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return HOST:PORT of a scheduler with two workers, each a process of its own."""
    with (
        scheduler(tmp_path_factory.mktemp("cluster")) as (address, _),
        worker(address),
        worker(address),
    ):
        yield address.removeprefix("tcp://")


@pytest.fixture
def run(endpoint: str, tmp_path: Path) -> Callable[..., str]:
    """Return what runs a program in a process of its own and returns what it prints."""

    def run(program: str, **env: str) -> str:
        path = tmp_path / "program.py"
        path.write_text(LISTED.sub(endpoint, program), "utf-8")
        done = subprocess.run(
            [sys.executable, str(path)],
            check=False,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), **env},
            timeout=240,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run
