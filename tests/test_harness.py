from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import harness

seconds = st.floats(1e-9, 1e6)


@given(st.lists(seconds, min_size=1))
def test_percentiles_are_ordered_and_within_the_samples(samples: list[float]) -> None:
    found = harness.percentiles(samples)
    assert found["n"] == len(samples)
    assert found["low"] == min(samples)
    assert found["high"] == max(samples)
    slack = 1e-9 * found["high"]
    assert found["low"] - slack <= found["p50"] <= found["p99"] + slack <= found["high"] + 2 * slack


def test_percentiles_of_nothing() -> None:
    with pytest.raises(ValueError, match="no samples"):
        harness.percentiles([])


def test_measuring_ends_in_time_and_gives_one_sample_at_least() -> None:
    calls: list[int] = []
    assert len(harness.measure(lambda: calls.append(1), repeat=5, warmup=2)) == 5
    assert len(calls) == 7
    assert len(harness.measure(lambda: None, repeat=10**9, seconds=0)) == 1


def test_a_report_is_printed_and_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(harness, "RESULTS", tmp_path / "results")
    table = harness.Table()
    table.add("ours", p50=1.0, n=3)
    table.add("theirs", p50=4.0)
    table.compare("p50", "theirs")
    harness.report("demo", table, "a note")
    printed = capsys.readouterr().out
    assert "0.25" in printed
    assert "* a note" in printed
    document = json.loads((tmp_path / "results" / "demo.json").read_text("utf-8"))
    assert [row["p50 / theirs"] for row in document["rows"]] == [0.25, 1.0]
    assert document["notes"] == ["a note"]
    assert document["machine"]["cores"] >= 1
    assert "numpy" in document["machine"]["packages"]


def test_comparing_with_what_is_not_there() -> None:
    with pytest.raises(LookupError, match="nobody"):
        harness.Table([{"name": "ours", "p50": 1.0}]).compare("p50", "nobody")
