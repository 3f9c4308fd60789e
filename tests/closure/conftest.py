from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.closure.cells import COUNT


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Write, or write again, local modules that a notebook can import."""
    folder = tmp_path / "beside"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)

    def write(name: str, source: str) -> None:
        path = folder.joinpath(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(source)
        os.utime(path, ns=(next(COUNT), next(COUNT)))
        importlib.invalidate_caches()
        for loaded in [n for n in sys.modules if n.startswith("wf_local")]:
            del sys.modules[loaded]

    yield write
    for name in set(sys.modules) - before:
        if name.startswith("wf_local"):
            del sys.modules[name]
