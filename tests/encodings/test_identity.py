"""A content id says what a value is and nothing else; a summary says it to people."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_wf.encodings import decode, encode
from jupyter_wf.graph import Slot
from jupyter_wf.requirements import Requirements

# -- identity -------------------------------------------------------------------------------------

DIFFERENT: list[Any] = [
    None, True, False, 0, 1, 1.0, 0.0, -0.0, 1 + 0j, float("nan"), float("inf"), "1", "", "null",
    b"1", b"", [], (), {}, set(), frozenset(), [1], (1,), {1}, frozenset({1}), [1.0], [True], [[1]],
    [[], []], [[[]]], {"a": 1}, {"a": 1.0}, {1: "a"}, {"a": 1, "b": 2}, {"b": 2, "a": 1}, 2**64,
    -(2**64), {"int": "0x1"}, {"array": 0}, {"tuple": []}, "x" * 300, b"x" * 300,
    np.zeros(0), np.zeros((0, 1)), np.zeros(()), np.float64(0), np.zeros(1), np.zeros(1, "f4"),
    np.zeros((1, 1)), np.zeros(1, "i8"), np.zeros(1, "u8"), np.zeros(1, "M8[s]"), -np.zeros(1),
    np.zeros(1, "M8[ms]"), np.array(["a"]), np.array([b"a"]), np.array(["a"], "U2"), [np.zeros(1)],
    np.zeros(1, [("a", "f8")]), np.zeros(1, [("b", "f8")]), Requirements(), [Requirements()],
]  # fmt: skip


def test_what_differs_has_another_id() -> None:
    ids = [encode(value, pickle=False).id for value in DIFFERENT]
    same_ids = [
        (DIFFERENT[i], DIFFERENT[j])
        for (i, a), (j, b) in itertools.combinations(enumerate(ids), 2)
        if a == b
    ]
    assert same_ids == []
    assert all(len(one) == 40 and int(one, 16) for one in ids)


def test_ids_are_what_they_always_were() -> None:
    """A change here makes every stored value unknown: don't."""
    assert {name: encode(value).id[:12] for name, (value, _) in GOLDEN.items()} == {
        name: known for name, (_, known) in GOLDEN.items()
    }


GOLDEN: dict[str, tuple[Any, str]] = {
    "number": (3, "43109758d238"),
    "tree": ({"a": [1, (2.5, None)], 3: {"x", "y"}, "n": 2**70, "s": b"b"}, "1d57ae040d4e"),
    "array": (np.arange(6, dtype=">i4").reshape(2, 3).T, "bef61bdc45f7"),
    "texts": (np.array(["a", "bc"]), "15c39a773176"),
    "records": (np.zeros(2, dtype=[("a", "i1"), ("b", ">f8", (2,))]), "c5619702fb08"),
    "large": (np.arange(1_000_000.0), "0d7b01c4c8bd"),
}

_ELSEWHERE = """
import json
from jupyter_wf.encodings import encode
value = [{"b", "a", "c", 1, 2.5, (1, "x"), b"y" * 300}, {"k": frozenset("hello world")}]
print(json.dumps(encode(value, pickle=False).id))
"""


def test_ids_do_not_depend_on_the_process() -> None:
    found = {
        json.loads(
            subprocess.run(
                [sys.executable, "-c", _ELSEWHERE],
                env={**os.environ, "PYTHONHASHSEED": seed},
                capture_output=True,
                check=True,
            ).stdout
        )
        for seed in ("1", "2")
    }
    assert len(found) == 1


@given(st.dictionaries(st.text(), st.integers(), min_size=2, max_size=4))
def test_order_is_part_of_a_dict(value: dict[str, int]) -> None:
    turned = dict(reversed(value.items()))
    assert turned == value
    assert encode(turned).id != encode(value).id
    assert list(decode(encode(turned))) == list(turned)


def test_numpy_is_not_imported_for_plain_values() -> None:
    code = (
        "import sys; from jupyter_wf.encodings import encode, decode\n"
        "value = {'a': [1, 2.5, 'x', b'y', None, (1j, {2**70})]}\n"
        "assert decode(encode(value, pickle=False)) == value\n"
        "print([m for m in ('numpy', 'jax', 'zarr', 'cloudpickle') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert shown.strip() == b"[]"


# -- for people -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (42, "42"),
        ("text", "'text'"),
        (None, "None"),
        (2**5000, "int of 5001 bits"),
        (b"x" * 100, "bytes of 100"),
        (np.zeros((1797, 64)), "float64 (1797, 64)"),
        (np.array(["a"]), "text (1,)"),
        (np.float64(3.5), "float64 3.5"),
        (np.zeros(2, [("a", "i1"), ("b", "f8")]), "records of a, b (2,)"),
        (
            {"X": np.zeros((2, 2)), "n": [1, 2], "s": {3}},
            "dict of 3: X float64 (2, 2), n list of 2, s set of 1",
        ),
        ({1: "a", (1, 2): "b"}, "dict of 2: 1: 'a', tuple: 'b'"),
        ([1, (2, 3), None], "list of 3: 1, tuple of 2, None"),
        ([], "list of 0"),
        (Slot("X"), "Slot: name 'X'"),
        ([slice(1)], "pickled list"),
        (slice(1), "pickled slice"),
    ],
)
def test_a_summary(value: Any, shown: str) -> None:
    assert encode(value).summary == shown
