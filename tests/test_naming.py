from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_wf.naming import call_name, label_of, short_names

HASHES = st.text("0123456789abcdef", min_size=12, max_size=16)
LABELS = st.sampled_from(["f", "g", "f-g", "a.b", "a", "<lambda>", "value"])
RESTS = st.sampled_from(["", ".b", ".low", ".high"])
HASHED = st.builds("{}-{}{}".format, LABELS, HASHES, RESTS)
NAMES = st.lists(HASHED | LABELS | st.text(min_size=1, max_size=6), max_size=30, unique=True)


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["plot", "fit-1"], ["plot", "fit-1"]),
        (["fit-25d57cdb36e04a8d"], ["fit"]),
        (["fit-25d57cdb36e04a8d", "fit"], ["fit-25d5", "fit"]),
        (["fit-25d57cdb36e04a8d", "fit-25d57cee36e04a8d"], ["fit-25d57cd", "fit-25d57ce"]),
        (["fit-25d57cdb36e04a8d", "fit-25d5"], ["fit", "fit-25d5"]),
        (["fit-25d57cdb36e04a8d", "fit-25d5", "fit"], ["fit-25d57cdb36e04a8d", "fit-25d5", "fit"]),
        (["fit-25d57cdb36e04a8d.low", "fit-25d57cdb36e04a8d.high"], ["fit.low", "fit.high"]),
        (["a-25d57cdb36e04a8d.b", "a.b-25d57cdb36e04a8d"], None),
    ],
)
def test_short_names(names: list[str], short: list[str] | None) -> None:
    assert [*short_names(names).values()] == (short or names)


@given(NAMES)
def test_no_two_are_alike_and_none_is_another_ones(names: list[str]) -> None:
    found = short_names(names)
    assert [*found] == names
    assert len({*found.values()}) == len(names)
    for name, short in found.items():
        assert short == name or short not in names
        assert len(short) <= len(name)
        assert name.startswith(short.partition(".")[0])


@given(LABELS, st.text("0123456789abcdef", min_size=40, max_size=40))
def test_a_call_is_shown_by_its_function(label: str, key: str) -> None:
    name = call_name(label, key)
    assert label_of(name) == label
    assert short_names([name]) == {name: label}
