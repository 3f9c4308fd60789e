"""Kind ``array``: NumPy arrays and scalars of any plain dtype, and JAX arrays.

A leaf is little-endian and C-contiguous, and a record dtype is packed: byte order, memory order
and padding are not part of a value. A JAX array is kept as its host copy and flagged, so that it
comes back as one. Arrays of objects, of ``StringDType``, of long doubles (whose padding is
undefined), and subclasses of ``ndarray`` other than ``memmap`` have no typed form.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from jupyter_wf.encodings.encoded import Kind, Leaf, Reader, Untyped, Writer, to_text
from jupyter_wf.errors import CorruptValueError

DType = np.dtype[Any]


@lru_cache(maxsize=512)
def _name(dtype: DType) -> Any:
    if dtype.names is not None:
        return [[name, *_field(dtype, name)] for name in dtype.names]
    if dtype.type.__module__ == "ml_dtypes":
        return dtype.name
    if dtype.kind in "biuSUVmM" or (dtype.kind, dtype.itemsize) in _FLOATS:
        return dtype.newbyteorder("<").str
    raise Untyped(f"an array of dtype {dtype}")


_FLOATS = {("f", 2), ("f", 4), ("f", 8), ("c", 8), ("c", 16)}


def _field(dtype: DType, name: str) -> list[Any]:
    assert dtype.fields is not None
    field = dtype.fields[name]
    if len(field) > 2:
        raise Untyped("an array of records with titles")
    if field[0].subdtype is None:
        return [_name(field[0])]
    base, shape = field[0].subdtype
    return [_name(base), list(shape)]


@lru_cache(maxsize=512)
def dtype_text(dtype: DType) -> str:
    """Name a dtype as JSON text, such as ``"<f8"``; raise `Untyped` if it has no name."""
    return to_text(_name(dtype))


def dtype_of(name: Any) -> DType:
    """Return the dtype that was named."""
    if isinstance(name, str):
        if name[:1] in "<|":
            return np.dtype(name)
        import ml_dtypes

        kind = getattr(ml_dtypes, name, None)
        if not isinstance(kind, type) or not issubclass(kind, np.generic):
            raise CorruptValueError(f"No dtype is named {name!r}.")
        return np.dtype(kind)
    fields: list[Any] = [(n, dtype_of(of), *map(tuple, shape)) for n, of, *shape in name]
    return np.dtype(fields)


@lru_cache(maxsize=512)
def _canonical(dtype: DType) -> DType:
    return dtype_of(_name(dtype))


def raw_bytes(leaf: Leaf) -> Any:
    """Return the bytes of a leaf as a buffer, without a copy."""
    return leaf.reshape(-1).view(np.uint8).data if leaf.nbytes else b""


def leaf_of(array: Leaf) -> Leaf:
    """Return the array in canonical form; without a copy where it already has it."""
    return np.asarray(array, dtype=_canonical(array.dtype), order="C")


def recognises(cls: type) -> bool:
    """Whether instances of `cls` are NumPy arrays or scalars, or JAX arrays."""
    if cls is np.ndarray or cls is np.memmap or issubclass(cls, np.generic):
        return True
    return _is_jax(cls)


def _is_jax(cls: type) -> bool:
    array = getattr(sys.modules.get("jax"), "Array", None)
    return array is not None and issubclass(cls, array)


def node(value: Any, writer: Writer) -> Any:
    """Encode an array or a NumPy scalar."""
    if isinstance(value, np.generic):
        return {"scalar": writer.leaf(leaf_of(np.asarray(value)))}
    if isinstance(value, np.ndarray):
        return {"array": writer.leaf(leaf_of(np.asarray(value)))}
    import jax

    try:
        if jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
            data = np.asarray(jax.random.key_data(value))
            name = str(jax.random.key_impl(value))
            return {"array": writer.leaf(leaf_of(data)), "jax": True, "key": name}
        host = np.asarray(value)
    except Exception as error:
        raise Untyped(f"a JAX array without a host copy ({type(error).__name__})") from error
    return {"array": writer.leaf(leaf_of(host)), "jax": True}


def value(tag: str, node: dict[str, Any], reader: Reader) -> Any:
    """Decode an array, read-only because others may read the same memory, or a NumPy scalar."""
    leaf = reader.leaves[node[tag]]
    if tag == "scalar":
        return leaf[()]
    if not node.get("jax"):
        array = leaf.view()
        array.flags.writeable = False
        return array
    import jax

    # Without this, JAX would silently make 32 bits of 64 where the reader has not enabled them.
    if leaf.dtype.itemsize > 4:
        with jax.enable_x64(True):
            return jax.numpy.asarray(leaf)
    found = jax.numpy.asarray(leaf)
    return jax.random.wrap_key_data(found, impl=node["key"]) if "key" in node else found


def summary(value: Any, _: Callable[[Any], str]) -> str:
    """Describe an array: ``float64 (1797, 64)``."""
    name = _shown(value.dtype)
    if isinstance(value, np.generic):
        plain = value.dtype.kind in "biufcSUmM" and value.dtype.itemsize <= 400
        return f"{name} {value!s}" if plain else name
    shape = value.shape if len(value.shape) <= 8 else f"{math.prod(value.shape)} elements"
    return f"{'' if isinstance(value, np.ndarray) else 'jax '}{name} {shape}"


def _shown(dtype: Any) -> str:
    if not isinstance(dtype, np.dtype):
        return str(dtype.name)  # JAX's own, such as key<fry>.
    if dtype.names is not None:
        return f"records of {', '.join(dtype.names[:4])}{', …' if len(dtype.names) > 4 else ''}"
    return {"U": "text", "S": "bytes", "V": "raw"}.get(dtype.char, str(dtype.name))


KIND = Kind("array", ("array", "scalar"), recognises, node, value, summary)
