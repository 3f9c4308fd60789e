from __future__ import annotations

import base64
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from jupyter_wf.widgets.preview import preview

from .test_protocol import validate


class Hostile:
    dtype = property(lambda self: 1 / 0)

    def __repr__(self):
        raise RuntimeError("no repr")


class Picture:
    def _repr_png_(self):
        return b"\x89PNG\r\n\x1a\n and so on"


CASES = [
    (None, "text"),
    ("some text", "text"),
    (3.5, "text"),
    (np.float32(2), "text"),
    (b"bytes", "text"),
    (b"\x89PNG\r\n\x1a\n...", "png"),
    ([1, 2, 3], "text"),
    ({"a": np.ones(3)}, "text"),
    (np.arange(5), "line"),
    (np.arange(5) > 2, "line"),
    (np.ones((7, 1)), "line"),
    (np.ones((7, 3)), "heat"),
    (np.ones((2, 3, 4)), "heat"),
    (np.ones(4) * 1j, "line"),
    (np.zeros((8, 9, 3), "uint8"), "image"),
    (np.zeros((200, 300, 4), "uint8"), "image"),
    (np.array([]), "text"),
    (np.array(["a", "b"]), "text"),
    (np.array([{}, None], dtype=object), "text"),
    (np.full((3, 3), np.nan), "heat"),
    (np.full(300, np.inf), "line"),
    (Picture(), "png"),
    (Hostile(), "text"),
]


@pytest.mark.parametrize(
    ("value", "kind"), CASES, ids=[f"{i}-{k}" for i, (_, k) in enumerate(CASES)]
)
def test_kind(value, kind):
    found = preview(value)
    assert found["kind"] == kind
    validate("preview", found)


@given(hnp.arrays(st.sampled_from(["f8", "f4", "i8", "u1", "?", "c16"]), hnp.array_shapes()))
def test_any_array_has_a_small_valid_preview(array):
    found = preview(array)
    validate("preview", found)
    assert len(json.dumps(found, allow_nan=False)) < 25_000


def test_a_large_array_is_small():
    for value in (np.arange(1e6), np.ones((2000, 1500)), np.zeros((900, 900, 3), "uint8")):
        assert len(json.dumps(preview(value))) < 25_000


def test_a_peak_is_never_lost():
    values = np.zeros(100_000)
    values[54_321] = 7
    assert max(preview(values)["values"]) == 7


def test_heat_goes_from_low_to_high():
    found = preview(np.array([[0.0, 5.0], [10.0, np.nan]]))
    assert list(base64.b64decode(found["cells"])) == [0, 127, 254, 255]
    assert (found["low"], found["high"]) == (0, 10)


def test_a_slice_says_which():
    assert preview(np.ones((2, 3, 4, 5)))["note"] == "[0, 0, :, :]"


def test_a_table_is_its_head():
    import pandas

    frame = pandas.DataFrame({f"c{i}": np.arange(50) / 3 for i in range(9)})
    found = preview(frame)
    validate("preview", found)
    assert found["note"] == "50 × 9"
    assert found["columns"] == [f"c{i}" for i in range(6)]
    assert found["rows"][1][0] == "0.333333"


def test_a_figure_is_a_picture():
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([1, 2])
    found = preview(figure)
    assert found["kind"] == "png"
    validate("preview", found)
