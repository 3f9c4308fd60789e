from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from jupyter_wf.engine.abc import Engine
from jupyter_wf.engine.testing import EngineTests

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    from jupyter_wf.engine.dask.cluster import embedded

    cluster = embedded(2)
    yield cluster
    cluster.close()


class TestDaskEngine(EngineTests):
    @pytest.fixture
    def engine(self, cluster: Any) -> Iterator[Engine]:
        from jupyter_wf.engine.dask import DaskEngine

        engine = DaskEngine(cluster)
        yield engine
        engine.close()
