"""Small values, many to a file: reading them by (pack, offset, length), and how they look there."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from jupyter_wf.encodings import Encoded
from jupyter_wf.encodings.array import dtype_of, dtype_text, raw_bytes
from jupyter_wf.engine.journal import is_writer_name, pack, read_frame, unpack
from jupyter_wf.engine.store.root import Root
from jupyter_wf.errors import CorruptValueError, MissingValueError

SUFFIX = ".pack"
#: How many packs stay open.
OPEN = 64


def to_payload(encoded: Encoded) -> bytes:
    """Serialise a value: kind, tree, summary, and (dtype, shape, bytes) of each leaf."""
    leaves = [
        [dtype_text(leaf.dtype), leaf.shape, bytes(raw_bytes(leaf))] for leaf in encoded.leaves
    ]
    return pack([encoded.kind, encoded.text, encoded.summary, leaves])


def from_payload(payload: bytes, content: str) -> Encoded:
    """Undo `to_payload`; the caller verifies the hash.

    Raises `CorruptValueError` if it isn't one.
    """
    try:
        kind, text, summary, parts = unpack(payload)
        leaves = tuple(_leaf(*part) for part in parts)
    except (ValueError, TypeError) as error:
        raise CorruptValueError(
            f"The packed value {content} is damaged. Compute it again."
        ) from error
    nbytes = len(text) + sum(leaf.nbytes for leaf in leaves)
    return Encoded(kind, text, leaves, nbytes, summary, content)


def _leaf(dtype: str, shape: list[int], data: bytes) -> np.ndarray[Any, Any]:
    array = np.ndarray(tuple(shape), dtype=dtype_of(json.loads(dtype)))
    if array.nbytes != len(data):
        raise ValueError("a leaf has another size than its shape")
    if data:
        array.reshape(-1).view(np.uint8)[:] = np.frombuffer(data, np.uint8)
    return array


class Packs:
    """Reads the packs of a store.

    Parameters
    ----------
    root : Root
    """

    def __init__(self, root: Root) -> None:
        self._root = root
        self._open: dict[str, int] = {}
        self._sizes: dict[str, int] = {}

    def refresh(self) -> None:
        """Look again, when next asked, whether packs are there."""
        self._sizes.clear()

    def holds(self, name: str, end: int) -> bool:
        """Whether a pack is there and has at least `end` bytes."""
        size = self._sizes.get(name, -1)
        if size < end and is_writer_name(name):
            try:
                size = self._path(name).lstat().st_size
            except OSError:
                size = 0
            self._sizes[name] = size
        return size >= end

    def read(self, name: str, offset: int, length: int, content: str) -> Encoded:
        """Read a value.

        Raises `MissingValueError` if the pack is gone, `CorruptValueError` if the frame is damaged.
        """
        payload = read_frame(self._descriptor(name, content), offset, length)
        if payload is None:
            raise CorruptValueError(
                f"The value {content} is damaged in pack {name}. Compute it again."
            )
        return from_payload(payload, content)

    def close(self) -> None:
        """Let go of all packs."""
        while self._open:
            os.close(self._open.popitem()[1])

    def _path(self, name: str) -> Path:
        return self._root.packs / f"{name}{SUFFIX}"

    def _descriptor(self, name: str, content: str) -> int:
        found = self._open.get(name)
        if found is not None:
            return found
        if not is_writer_name(name):
            raise CorruptValueError(f"{name[:60]!r} is not the name of a pack.")
        path = self._root.inside(self._path(name))
        try:
            found = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        except FileNotFoundError:
            raise MissingValueError(
                f"The value {content} was in {path}, which is gone. Compute it again."
            ) from None
        if len(self._open) >= OPEN:
            os.close(self._open.pop(next(iter(self._open))))
        self._open[name] = found
        return found
