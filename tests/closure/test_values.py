from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_wf.closure import value_digest
from jupyter_wf.errors import FingerprintError
from jupyter_wf.graph import Slot
from tests.closure.cells import notebook


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ((1, 2), (1, 2), True),
        ((1, 2), [1, 2], False),
        (1, 1.0, False),
        (1, True, False),
        ("1", 1, False),
        (0.0, -0.0, False),
        (float("nan"), float("nan"), True),
        ({1, "a", None}, {None, "a", 1}, True),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, False),
        (["a", "b"], ["a, b"], False),
        ([1, 16**5000], [1, 16**5000], True),
        ([1, 16**5000], [1, 16**5001], False),
        ([1, [2]], [[1], 2], False),
        ([["a"], "b"], [["a", "b"]], False),
        (Slot("x"), Slot("x"), True),
        (Slot("x"), Slot("y"), False),
        ((Slot("x"),), ("x",), False),
        (len, len, True),
        (len, max, False),
        (Path("a"), Path("a"), True),
        (Path("a"), Path("b"), False),
        (ast, os, False),
    ],
)
def test_values_are_told_apart(one: object, other: object, *, same: bool) -> None:
    assert (value_digest(one) == value_digest(other)) == same
    assert len(value_digest(one)) == 40


def test_arrays_and_functions_within_values_count() -> None:
    import numpy as np

    a = np.arange(4.0)
    assert value_digest({"a": a}) == value_digest({"a": a.copy()})
    assert value_digest({"a": a}) != value_digest({"a": a.astype("f4")})
    one, other = (notebook(f"def f():\n    return {n}")["f"] for n in (1, 2))
    assert value_digest([one]) != value_digest([other])
    with pytest.raises(FingerprintError, match=r"A task uses 'value\[1\]', a generator"):
        value_digest([1, (i for i in "")])


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(plain, plain)
def test_equal_digests_mean_equal_values(one: object, other: object) -> None:
    assert (value_digest(one) == value_digest(other)) == (repr(one) == repr(other))
