"""What all tests of engines are given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from jupyter_wf.engine.abc import Engine, Store
from jupyter_wf.engine.testing.jobs import Watch


class Base:
    """The fixtures ``engine``, ``store`` and ``watch``."""

    @pytest.fixture
    def engine(self) -> Iterator[Engine]:
        """Return the engine under test, not started."""
        raise NotImplementedError

    @pytest.fixture
    def store(self, tmp_path: Any) -> Iterator[Store]:
        """Return the store that the engine is bound to."""
        from jupyter_wf.engine.store import open_store

        store = open_store(str(tmp_path / "store"))
        yield store
        store.close()

    @pytest.fixture
    def watch(self, engine: Engine, store: Store) -> Watch:
        """Return a listener of the engine, which is started by this."""
        watch = Watch()
        engine.start(store)
        engine.subscribe(watch)
        return watch
