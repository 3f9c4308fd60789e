from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engine.environments.wheels import wheel

import jupyter_wf as wf
from jupyter_wf.engine.environments import installer


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that is all there is to install from, and an empty cache."""
    found = tmp_path / "wheels"
    found.mkdir()
    wheel(found, "tiny", "1.0", "version = 1")
    wheel(found, "tiny", "2.0", "version = 2")
    wheel(found, "needy", "1.0", "import tiny\nversion = tiny.version", ("tiny<2",))
    monkeypatch.setenv("JUPYTER_WF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    for name in ("UV_FIND_LINKS", "UV_INDEX", "UV_DEFAULT_INDEX", "UV_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    # pip takes a while to say so itself; processes that a test starts ask it.
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(found))
    options = {"no-index": "true", "find-links": str(found)}
    monkeypatch.setattr(installer, "pip_options", lambda: options)
    return found


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def flow(packages: Path) -> Iterator[Any]:
    engine = wf.LocalEngine(2)
    with wf.Workflow(engine, "memory://") as flow:
        flow.events = []
        flow.subscribe(flow.events.extend)
        yield flow
    engine.close()
