"""Values of one session on a worker: all are found, those worth spilling where Dask can do it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from distributed import Security

from jupyter_wf.encodings import encode
from jupyter_wf.engine.dask.memory import TINY, LateStore, Memory, find_input
from jupyter_wf.engine.family import InputLostError
from jupyter_wf.engine.signals import Source
from jupyter_wf.engine.store import open_store


def test_tiny_values_are_kept_beside_those_that_can_be_spilled() -> None:
    data: dict[Any, Any] = {"a key of Dask's": 1}
    mine, other = Memory(data, "mine"), Memory(data, "other")
    tiny, large = encode(1.5), encode(np.zeros(TINY))
    for value in (tiny, large):
        mine[value.id] = value
        assert mine[value.id] is value
        assert value.id in mine
        assert value.id not in other
    assert set(mine) == {tiny.id, large.id}
    assert len(data) == 2
    mine.clear()
    assert (len(mine), mine.get(tiny.id)) == (0, None)
    assert [*data] == ["a key of Dask's"]


def test_what_a_dead_worker_committed_is_found_though_nobody_told(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    find = find_input(SimpleNamespace(security=Security()), "s", LateStore(store.url))
    lost = encode(np.arange(5))
    source = Source(lost.id, lost.nbytes, (), durable=False)
    with pytest.raises(InputLostError):
        find(source)
    store.put(np.arange(5))
    assert find(source).id == lost.id
