"""Kind ``sparse``: SciPy's CSR, CSC and COO matrices and arrays, JAX's BCOO and BCSR.

What is stored is stored as it is: explicit zeros, entries that come twice, the order of entries and
the width of indices can be seen, so they are part of the value. What SciPy finds out about them
by itself (whether they are sorted) is not. A matrix that is read is a copy of the reader's own,
since SciPy puts entries into order where they are. On disk, CSR and CSC of two dimensions are as
AnnData has them; the others, which it does not know, look alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jupyter_wf.encodings.array import leaf_of
from jupyter_wf.encodings.encoded import Array, Group, Kind, Leaf, Reader, Untyped, Writer

_SCIPY = {f"{form}_{kind}": form for form in ("csr", "csc", "coo") for kind in ("matrix", "array")}
_JAX = {"BCOO": ("data", "indices"), "BCSR": ("data", "indices", "indptr")}
_FLAGS = ("indices_sorted", "unique_indices")
_AXES = ("row", "col")


def recognises(cls: type) -> bool:
    """Whether instances of `cls` are such matrices of SciPy or JAX, and not of a subclass."""
    return (cls.__module__.startswith("scipy.sparse.") and cls.__name__ in _SCIPY) or (
        cls.__module__.startswith("jax.experimental.sparse.") and cls.__name__ in _JAX
    )


def node(value: Any, writer: Writer) -> Any:
    """Encode a sparse matrix or array."""
    cls = type(value).__name__
    if cls in _JAX:
        parts = {name: writer.node(getattr(value, name)) for name in _JAX[cls]}
        flags = [name for name in _FLAGS if getattr(value, name)]
        return {"sparse": cls, "shape": list(map(int, value.shape)), **parts, "flags": flags}
    more = {name for name in vars(value) if not name.startswith("_")} - _OWN
    if more:
        raise Untyped(f"a {cls} with an attribute {min(more)!r}")
    arrays = dict(zip(_names(cls, value.ndim), _arrays(value), strict=True))
    leaves = {name: writer.leaf(leaf_of(array)) for name, array in arrays.items()}
    return {"sparse": cls, "shape": list(map(int, value.shape)), **leaves}


_OWN = {"maxprint", "data", "indices", "indptr", "coords", "has_canonical_format"}


def _names(cls: str, dimensions: int) -> tuple[str, ...]:
    if _SCIPY[cls] != "coo":
        return ("data", "indices", "indptr")
    return ("data", *(_AXES if dimensions == 2 else map("axis-{}".format, range(dimensions))))


def _arrays(value: Any) -> tuple[Leaf, ...]:
    if value.format == "coo":
        return (value.data, *value.coords)
    return (value.data, value.indices, value.indptr)


def value(tag: str, node: dict[str, Any], reader: Reader) -> Any:
    """Decode a sparse matrix or array."""
    cls, shape = node[tag], tuple(node["shape"])
    if cls in _JAX:
        from jax.experimental import sparse

        parts = tuple(reader.value(node[name]) for name in _JAX[cls])
        flags = {name: name in node["flags"] for name in _FLAGS}
        return getattr(sparse, cls)(parts, shape=shape, **flags)
    import scipy.sparse

    data, *indices = (reader.leaves[node[name]].copy() for name in _names(cls, len(shape)))
    if _SCIPY[cls] == "coo":
        made = getattr(scipy.sparse, cls)((data, tuple(indices)), shape=shape)
        made.coords = tuple(indices)  # The constructor may have narrowed them.
    else:
        made = getattr(scipy.sparse, cls)((data, *indices), shape=shape)
        made.indices, made.indptr = indices
    return made


def outline(node: dict[str, Any], _: tuple[Leaf, ...]) -> Group:
    """Lay a matrix out as AnnData does."""
    cls = node["sparse"]
    if cls in _JAX:
        return Group({}, {name: Array(node[name]["array"]) for name in _JAX[cls]})
    attributes: dict[str, Any] = {}
    if _SCIPY[cls] != "coo" and len(node["shape"]) == 2:
        attributes = {
            "encoding-type": f"{_SCIPY[cls]}_matrix",
            "encoding-version": "0.1.0",
            "shape": node["shape"],
        }
    return Group(attributes, {name: Array(node[name]) for name in _names(cls, len(node["shape"]))})


def summary(value: Any, _: Callable[[Any], str]) -> str:
    """Describe a matrix: ``csr_array float64 (1000, 1000), 5000 stored``."""
    stored = getattr(value, "nnz", None)
    count = value.nse if stored is None else stored
    return f"{type(value).__name__} {value.dtype} {tuple(value.shape)}, {count} stored"


KIND = Kind("sparse", ("sparse",), recognises, node, value, summary, outline)
