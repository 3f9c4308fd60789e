"""Images come back pixel by pixel; figures stay figures."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from jupyter_wf.encodings import decode, encode
from jupyter_wf.encodings.picture import _MODES
from jupyter_wf.engine.store import open_store


@st.composite
def images(draw: st.DrawFn) -> Any:
    mode = draw(st.sampled_from(sorted(_MODES)))
    size = draw(st.tuples(st.integers(0, 9), st.integers(0, 4)))
    count = len(PIL.Image.new(mode, size).tobytes())
    image = PIL.Image.frombytes(mode, size, draw(st.binary(min_size=count, max_size=count)))
    image.info = draw(st.dictionaries(st.sampled_from(["dpi", "note"]), st.integers(0, 9)))
    return image


@given(images())
def test_an_image_comes_back(image: Any) -> None:
    encoded = encode(image, pickle=False)
    back = decode(encoded)
    assert back == image
    assert back.info == image.info
    assert encode(back).id == encode(image.copy()).id == encoded.id
    assert encoded.summary == f"picture {image.mode} {image.width} × {image.height}"


def test_its_pixels_are_an_array_on_disk(tmp_path: Path) -> None:
    pixels = np.arange(600 * 700 * 3).astype("u1").reshape(600, 700, 3)
    image = PIL.Image.fromarray(pixels)
    store = open_store(tmp_path)
    for value, name in ((image, "picture"), ({"cat": image}, "cat")):
        stored = store.put(value)
        assert (store.zarr(stored.id)[name][...] == pixels).all()
        back = open_store(tmp_path).get(stored.id)
        assert (back["cat"] if name == "cat" else back) == image


def with_exif() -> Any:
    image = PIL.Image.new("RGB", (2, 2))
    image.getexif()[0x010E] = "a description"
    return image


def from_file() -> Any:
    file = io.BytesIO()
    PIL.Image.new("RGB", (2, 2)).save(file, "png")
    return PIL.Image.open(file)


@pytest.mark.parametrize("value", [PIL.Image.new("P", (2, 2)), with_exif(), from_file()], ids=str)
def test_others_are_pickled(value: Any) -> None:
    encoded = encode(value)
    assert encoded.kind == "pickle"
    assert decode(encoded) == value


def test_a_figure_stays_a_figure() -> None:
    figure = Figure(figsize=(2, 1))
    figure.add_subplot().plot([1, 2])
    back = decode(encode(figure))
    assert type(back) is Figure
    assert back.get_size_inches().tolist() == [2, 1]
    assert back.axes[0].lines[0].get_ydata().tolist() == [1, 2]
    back.savefig(drawn := io.BytesIO())
    assert drawn.getvalue().startswith(b"\x89PNG")
