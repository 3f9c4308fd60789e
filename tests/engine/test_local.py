from __future__ import annotations

from collections.abc import Iterator

import pytest

from jupyter_wf.engine.abc import Engine, Store
from jupyter_wf.engine.local import LocalEngine
from jupyter_wf.engine.store import open_store
from jupyter_wf.engine.testing import EngineTests


class TestLocalEngine(EngineTests):
    @pytest.fixture
    def engine(self) -> Iterator[Engine]:
        engine = LocalEngine(2)
        yield engine
        engine.close()


class TestLocalEngineInMemory(TestLocalEngine):
    @pytest.fixture
    def store(self) -> Iterator[Store]:
        store = open_store("memory://")
        yield store
        store.close()
