"""Kind ``picture``: Pillow's images without a palette, pixel by pixel.

Kept are the mode, the size, the pixels and ``info``. An image that Pillow still has in a file, one
with a palette and a figure of Matplotlib, which is more than its picture, have no typed form.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from jupyter_wf.encodings.encoded import Array, Kind, Leaf, Reader, Untyped, Writer

#: The dtype of each mode's numbers, and how many a pixel has; ``1`` has eight pixels to a byte.
_MODES: dict[str, tuple[str, int]] = {
    "1": ("u1", 1),
    "L": ("u1", 1),
    "I;16": ("<u2", 1),
    "I": ("<i4", 1),
    "F": ("<f4", 1),
    "LA": ("u1", 2),
    "La": ("u1", 2),
    "RGB": ("u1", 3),
    "YCbCr": ("u1", 3),
    "LAB": ("u1", 3),
    "HSV": ("u1", 3),
    "RGBA": ("u1", 4),
    "RGBa": ("u1", 4),
    "RGBX": ("u1", 4),
    "CMYK": ("u1", 4),
}
_OWN = {"_im", "_mode", "_size", "palette", "info", "_readonly", "_exif"}


def recognises(cls: type) -> bool:
    """Whether instances of `cls` are images in memory."""
    return cls.__module__ == "PIL.Image" and cls.__name__ == "Image"


def node(value: Any, writer: Writer) -> Any:
    """Encode an image."""
    if value.mode not in _MODES:
        raise Untyped(f"an image of mode {value.mode}")
    if vars(value).get("_exif") is not None or not _OWN.issuperset(vars(value)):
        raise Untyped("an image that holds more than its pixels")
    dtype, bands = _MODES[value.mode]
    width, height = value.size
    row = (width + 7) // 8 if value.mode == "1" else width
    shape = (height, row) if bands == 1 else (height, row, bands)
    pixels = np.frombuffer(value.tobytes(), dtype=dtype).reshape(shape)
    body = {"picture": writer.leaf(pixels), "mode": value.mode, "size": [width, height]}
    return {**body, "info": writer.node(value.info)} if value.info else body


def value(tag: str, node: dict[str, Any], reader: Reader) -> Any:
    """Decode an image, in memory of the reader's own."""
    import PIL.Image

    pixels = reader.leaves[node[tag]].tobytes()
    made = PIL.Image.frombytes(node["mode"], tuple(node["size"]), pixels)
    if "info" in node:
        made.info = reader.value(node["info"])
    return made


def outline(node: dict[str, Any], _: tuple[Leaf, ...]) -> Array:
    """Lay the pixels out as an array of rows."""
    return Array(node["picture"])


def summary(value: Any, _: Callable[[Any], str]) -> str:
    """Describe an image: ``picture RGB 640 × 480``."""
    return f"picture {value.mode} {value.size[0]} × {value.size[1]}"


KIND = Kind("picture", ("picture",), recognises, node, value, summary, outline)
