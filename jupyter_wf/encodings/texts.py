"""Texts of any length as one leaf of bytes: numcodecs' ``vlen-utf8``, as in a chunk of Zarr."""

from __future__ import annotations

from typing import Any

import numpy as np

from jupyter_wf.encodings.encoded import Leaf, Untyped


def leaf_of_texts(texts: Any) -> Leaf:
    """Return the leaf of a one-dimensional array of objects that are all `str`.

    Raises `Untyped` if one is not, or holds half a character.
    """
    from numcodecs import VLenUTF8

    objects = np.asarray(texts, dtype=object)
    if not set(map(type, objects)) <= {str}:
        raise Untyped("a column of objects that are not all text")
    try:
        return np.frombuffer(VLenUTF8().encode(objects), dtype="u1")
    except UnicodeEncodeError as error:
        raise Untyped("text with half a character") from error


def texts_of(leaf: Leaf) -> Leaf:
    """Undo `leaf_of_texts`."""
    from numcodecs import VLenUTF8

    return np.asarray(VLenUTF8().decode(leaf), dtype=object)
