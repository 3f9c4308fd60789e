from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import programs
import pytest
from dask_processes import scheduler, worker

from jupyter_wf.pymonik import Pymonik

#: The endpoints in programs, for which that of the cluster here is put.
LISTED = re.compile(r"localhost:\d+")


@pytest.fixture
def session() -> Iterator[Pymonik]:
    with Pymonik(local_session=True) as session:
        yield session


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which the workers keep environments."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[str]:
    """Return HOST:PORT of a scheduler with two workers, each a process of its own."""
    with (
        scheduler(tmp_path_factory.mktemp("cluster")) as (address, _),
        worker(address, JUPYTER_WF_CACHE=str(cache)),
        worker(address, JUPYTER_WF_CACHE=str(cache)),
    ):
        yield address.removeprefix("tcp://")


@pytest.fixture
def run(endpoint: str, tmp_path: Path) -> Callable[..., str]:
    """Return what runs a program in a process of its own and returns what it prints."""

    def run(program: str, **env: str) -> str:
        path = tmp_path / "program.py"
        path.write_text(LISTED.sub(endpoint, program), "utf-8")
        return programs.run(tmp_path, "python", path, **env)

    return run
