"""Each part of the engine's benchmark runs, with so few tasks that its figures say nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.engine.__main__ import BESIDE, PARTS, compared
from benchmarks.engine.peers import Peers
from benchmarks.engine.sizes import TINY


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_each_part_runs(part: str) -> None:
    peers = Peers(names=("pool",))
    rows = PARTS[part].rows
    found = compared(rows(TINY, peers) if part in BESIDE else rows(TINY))
    assert not peers.absent
    assert {row["name"] for row in found}
    if part in BESIDE:
        assert {"ours", "pool"} <= {row["who"] for row in found}


def test_who_is_not_there_is_named(tmp_path: Path) -> None:
    peers = Peers(environment=tmp_path, names=("ray",))
    assert peers.ask("roundtrip", batches=((1, 1),)) == {}
    assert "python" in peers.absent["ray"]
