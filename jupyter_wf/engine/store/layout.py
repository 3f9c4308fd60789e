"""One encoded value as a plain Zarr v3 array or group, and back.

An array, alone, is a Zarr array; any other value is a group with an array per leaf, where its
`outline` says. The attribute ``jupyter_wf`` holds the tree, and the dtype of each leaf. Dtypes
outside Zarr's specification are viewed as ones inside it: text as code points and records as bytes
along one more axis, bfloat16 and its like as unsigned integers.
"""

from __future__ import annotations

import io
import json
import math
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numcodecs.zstd import Zstd
from zarr.codecs import ZstdCodec
from zarr.storage import LocalStore, MemoryStore

from jupyter_wf.encodings import Encoded
from jupyter_wf.encodings.array import dtype_of, dtype_text, raw_bytes
from jupyter_wf.encodings.encoded import Array, Group, Leaf, to_text
from jupyter_wf.encodings.outline import RESERVED, outline
from jupyter_wf.encodings.texts import leaf_of_texts, texts_of
from jupyter_wf.engine.store.direct import write_file
from jupyter_wf.errors import CorruptValueError

ATTRIBUTE = "jupyter_wf"
VERSION = 1
CHUNK = 16_000_000
#: A tree whose JSON is longer than this is an array of bytes beside the leaves.
LONG_TREE = 64_000
#: Compress only what shrinks at least to this part in the probe.
WORTH_IT = 0.8
_PROBE, _PROBES = 32_768, 8
_NATIVE = frozenset("biufcmM")


def write(encoded: Encoded, store: Any) -> None:
    """Write a value into an empty Zarr store (a path or a ``zarr`` store)."""
    about: dict[str, Any] = {
        "version": VERSION,
        "id": encoded.id,
        "kind": encoded.kind,
        "summary": encoded.summary,
        "dtypes": [json.loads(dtype_text(leaf.dtype)) for leaf in encoded.leaves],
    }
    if encoded.kind == "array":
        attributes = {ATTRIBUTE: {**about, "tree": encoded.tree}}
        _write_array(store, None, encoded.leaves[0], attributes)
        return
    parts = outline(encoded)
    paths = {part.leaf: path for path, part in parts.items() if isinstance(part, Array)}
    about["leaves"] = [paths[leaf] for leaf in range(len(encoded.leaves))]
    if len(encoded.text) <= LONG_TREE:
        about["tree"] = encoded.tree
    root = parts.pop("", None)
    attributes = {**(root.attributes if root else {}), ATTRIBUTE: about}
    group = zarr.create_group(store, zarr_format=3, attributes=attributes)
    if len(encoded.text) > LONG_TREE:
        _write_array(group.store, RESERVED, np.frombuffer(encoded.text.encode("ascii"), "u1"))
    for path, part in parts.items():
        if isinstance(part, Group):
            group.create_group(path, attributes=dict(part.attributes))
        else:
            _write_part(group.store, path, part, encoded.leaves)


def read(node: Any) -> Encoded:
    """Read what `write` wrote; the caller verifies the hash.

    Raises `CorruptValueError` if it isn't that.
    """
    about = dict(node.attrs).get(ATTRIBUTE)
    if not isinstance(about, dict) or about.get("version") != VERSION:
        raise CorruptValueError(f"There is no value of jupyter_wf at {node.store_path}.")
    if about["kind"] == "array":
        arrays = [node]
        text = to_text(about["tree"])
    else:
        arrays = [node[name] for name in about["leaves"]]
        tree = about.get("tree")
        text = to_text(tree) if "tree" in about else node[RESERVED][...].tobytes().decode("ascii")
    leaves = tuple(
        _restored(_read_array(array), dtype_of(name))
        for array, name in zip(arrays, about["dtypes"], strict=True)
    )
    nbytes = len(text) + sum(leaf.nbytes for leaf in leaves)
    return Encoded(about["kind"], text, leaves, nbytes, about["summary"], about["id"])


def open_value(path: str) -> Any:
    """Open a written value, read-only."""
    return zarr.open(path, mode="r", zarr_format=3)


def in_memory(encoded: Encoded) -> Any:
    """Return a value as a read-only ``zarr.Array`` or ``zarr.Group`` held in memory."""
    store = MemoryStore()
    write(encoded, store)
    return zarr.open(store.with_read_only(True), mode="r", zarr_format=3)


def chunk_shape(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Split the leading axes so that a chunk has about 16 MB.

    Examples
    --------
    >>> chunk_shape((4000, 1000), 8)
    (2000, 1000)
    """
    room = max(1, CHUNK // max(1, itemsize))
    chunks: list[int] = []
    for size in reversed(shape):
        length = max(1, min(size, room))
        chunks.insert(0, math.ceil(size / math.ceil(size / length)) if size else 1)
        room = max(1, room // length)
    return tuple(chunks)


# -- leaves ---------------------------------------------------------------------------------------


def _write_part(store: Any, path: str, part: Array, leaves: tuple[Leaf, ...]) -> None:
    numbers = part.leaf
    if part.texts and isinstance(numbers, int):
        _write_texts(store, path, part, leaves[numbers])
        return
    if isinstance(numbers, range):
        leaf = np.arange(numbers.start, numbers.stop, numbers.step, dtype="<i8")
    else:
        leaf = leaves[numbers]
    _write_array(store, path, leaf, part.attributes, part.dimensions)


def _write_texts(store: Any, path: str, part: Array, leaf: Leaf) -> None:
    texts = texts_of(leaf)
    if part.shape is not None:
        texts = texts.reshape(part.shape)
    array = zarr.create_array(
        store,
        name=path,
        shape=texts.shape,
        dtype="string",
        chunks=chunk_shape(texts.shape, -(-leaf.nbytes // max(1, texts.size))),
        compressors=ZstdCodec(level=1) if pays(leaf) else None,
        zarr_format=3,
        attributes=dict(part.attributes),
        dimension_names=part.dimensions,
        config={"write_empty_chunks": True},
    )
    if texts.size:
        array[...] = texts


def _write_array(
    store: Any,
    name: str | None,
    leaf: Leaf,
    attributes: Mapping[str, Any] | None = None,
    dimensions: tuple[str, ...] | None = None,
) -> None:
    view = _viewed(leaf)
    codec = Zstd(level=1) if pays(leaf) else None
    chunks = chunk_shape(view.shape, view.dtype.itemsize)
    array = zarr.create_array(
        store,
        name=name,
        shape=view.shape,
        dtype=view.dtype,
        chunks=chunks,
        compressors=ZstdCodec(level=1) if codec else None,
        zarr_format=3,
        attributes=dict(attributes or {}),
        dimension_names=dimensions,
        # A chunk of zeros must be written too: a chunk that is missing is damage.
        config={"write_empty_chunks": True},
    )
    if isinstance(array.store, LocalStore):
        _write_chunks(array.store.root / (name or ""), view, chunks, codec)
    elif view.size:
        array[...] = view


def _write_chunks(path: Path, view: Leaf, chunks: tuple[int, ...], codec: Zstd | None) -> None:
    """Write the files of all chunks in parallel, straight from the leaf's memory.

    Each chunk is a run of the leaf's bytes: at most one axis is split, those before it have chunks
    of length one. Zarr itself would copy each chunk several times (0.25 s for 64 MB, not 0.03).
    """
    size = math.prod(chunks) * view.dtype.itemsize

    def write_one(position: tuple[int, ...]) -> None:
        part = np.ascontiguousarray(view[_selection(position, chunks)])
        data = raw_bytes(part)
        if len(data) < size:
            data = bytes(data).ljust(size, b"\0")
        file = path.joinpath("c", *map(str, position))
        file.parent.mkdir(parents=True, exist_ok=True)
        write_file(file, data if codec is None else codec.encode(data))

    _for_each_chunk(write_one, view.shape, chunks)


def _read_array(array: Any) -> Leaf:
    """Read an array; one that isn't compressed straight into its memory, which halves the time."""
    if array.dtype.kind in "TO":
        return leaf_of_texts(np.asarray(array[...], dtype=object).reshape(-1))
    if not isinstance(array.store, LocalStore) or array.compressors:
        return np.asarray(array[...])
    whole = np.empty(array.shape, dtype=array.dtype)
    size = math.prod(array.chunks) * array.dtype.itemsize
    path = array.store.root / array.path

    def read_one(position: tuple[int, ...]) -> None:
        part = whole[_selection(position, array.chunks)]
        with path.joinpath("c", *map(str, position)).open("rb", buffering=0) as file:
            if os.fstat(file.fileno()).st_size != size or _fill(file, raw_bytes(part)):
                raise CorruptValueError(f"Chunk {position} of {path} does not have {size} bytes.")

    _for_each_chunk(read_one, array.shape, array.chunks)
    return whole


def _fill(file: io.FileIO, room: memoryview) -> int:
    """Read until there is no more room, or no more to read; return the room left."""
    while room and (count := file.readinto(room)):
        room = room[count:]
    return len(room)


def _selection(position: tuple[int, ...], chunks: tuple[int, ...]) -> tuple[Any, ...]:
    slices = [slice(p * c, (p + 1) * c) for p, c in zip(position, chunks, strict=True)]
    return (*slices, ...)  # Without the dots, an array of no dimensions would give a copy.


def _for_each_chunk(
    do: Callable[[tuple[int, ...]], None], shape: tuple[int, ...], chunks: tuple[int, ...]
) -> None:
    grid = [math.ceil(n / c) for n, c in zip(shape, chunks, strict=True)]
    if math.prod(grid) == 1:
        do((0,) * len(grid))
        return
    with ThreadPoolExecutor(min(8, max(1, math.prod(grid)))) as pool:
        list(pool.map(do, np.ndindex(*grid)))


def pays(leaf: Leaf) -> bool:
    """Whether zstd shrinks the bytes of a leaf enough, judged by eight samples of them."""
    data = memoryview(raw_bytes(leaf))
    if len(data) < _PROBE:
        return False
    step = max(_PROBE, len(data) // _PROBES)
    sample = b"".join(data[at : at + _PROBE] for at in range(0, len(data), step))
    return len(Zstd(level=1).encode(sample)) <= WORTH_IT * len(sample)


def _viewed(leaf: Leaf) -> Leaf:
    if leaf.dtype.kind in _NATIVE and (leaf.dtype.isbuiltin == 1 or leaf.dtype.kind in "mM"):
        return leaf
    width = leaf.dtype.itemsize
    if leaf.dtype.type.__module__ == "ml_dtypes":
        return leaf.view(f"<u{width}")
    unit = 4 if leaf.dtype.kind == "U" else 1
    shape = (*leaf.shape, width // unit)
    if not leaf.nbytes:
        return np.empty(shape, dtype=f"<u{unit}")
    return leaf.reshape(-1).view(f"<u{unit}").reshape(shape)


def _restored(view: Leaf, dtype: np.dtype[Any]) -> Leaf:
    view = np.asarray(view, order="C")
    if view.dtype == dtype:
        return view
    if dtype.type.__module__ == "ml_dtypes":
        return view.view(dtype)
    shape = view.shape[:-1]
    if not view.nbytes:
        return np.empty(shape, dtype=dtype)
    restored: Leaf = view.reshape(-1).view(dtype).reshape(shape)
    return restored
