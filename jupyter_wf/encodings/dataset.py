"""Kind ``dataset``: xarray's DataArray and Dataset, whose variables are arrays of NumPy in memory.

Kept are names, dimensions, coordinates, indexes of one level with their frequency, and all
attributes; not how a file that they were read from was encoded. Variables of other arrays (Dask's,
JAX's, sparse), indexes of several levels or of one's own, and subclasses have no typed form. On
disk it is what `xarray.open_zarr` reads.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from jupyter_wf.encodings.array import leaf_of
from jupyter_wf.encodings.columns import column_outline
from jupyter_wf.encodings.encoded import Array, Group, Kind, Leaf, Part, Reader, Untyped, Writer
from jupyter_wf.encodings.json import is_plain
from jupyter_wf.encodings.outline import Names
from jupyter_wf.encodings.texts import leaf_of_texts, texts_of

_TYPES = ("DataArray", "Dataset")


def recognises(cls: type) -> bool:
    """Whether instances of `cls` are xarray's, and not of a subclass."""
    xarray = sys.modules.get("xarray")
    return cls.__name__ in _TYPES and getattr(xarray, cls.__name__, None) is cls


# -- writing --------------------------------------------------------------------------------------


def node(value: Any, writer: Writer) -> Any:
    """Encode a dataset, or an array with its coordinates."""
    coords = [[*_variable(name, of.variable, writer, value)] for name, of in value.coords.items()]
    if type(value).__name__ == "DataArray":
        variable = _variable("", value.variable, writer, None)[1]
        return {"dataarray": variable, "name": writer.node(value.name), "coords": coords}
    variables = [
        [*_variable(name, of.variable, writer, value)] for name, of in value.data_vars.items()
    ]
    return {"dataset": variables, "coords": coords, "attrs": writer.node(dict(value.attrs))}


def _variable(name: Any, variable: Any, writer: Writer, owner: Any) -> tuple[str, dict[str, Any]]:
    if not all(type(label) is str for label in (name, *variable.dims)):
        raise Untyped("a variable whose name or dimensions are not text")
    index = None if owner is None else owner.xindexes.get(name)
    try:
        body = _array(variable, writer) if index is None else _index(name, index, variable, writer)
    except Untyped as error:
        error.path.insert(0, f"[{name!r}]")
        raise
    dims = list(variable.dims)
    return name, {**body, "dims": dims, "attrs": writer.node(dict(variable.attrs))}


def _array(variable: Any, writer: Writer) -> dict[str, Any]:
    data = variable.data
    if type(data) is not np.ndarray:
        raise Untyped(f"a variable held by a {type(data).__name__}")
    if data.dtype.kind in "biufcmM":
        return {"plain": writer.leaf(leaf_of(data))}
    if data.dtype.kind not in "UO":
        raise Untyped(f"a variable of dtype {data.dtype}")
    dtype = "object" if data.dtype.kind == "O" else data.dtype.newbyteorder("<").str
    texts = leaf_of_texts(data.astype(object).reshape(-1))
    return {"texts": writer.leaf(texts), "shape": list(data.shape), "dtype": dtype}


def _index(name: str, index: Any, variable: Any, writer: Writer) -> dict[str, Any]:
    import xarray

    if type(index) is not xarray.indexes.PandasIndex or index.dim != name:
        raise Untyped(f"an index that is a {type(index).__name__}")
    encoded = writer.node(index.index)
    column = encoded["index"]
    if "mask" in column or not {"plain", "texts", "range"} & set(column):
        raise Untyped(f"an index of dtype {index.index.dtype}")
    if not isinstance(variable.dtype, np.dtype):
        raise Untyped(f"an index shown as {variable.dtype}")
    return {
        "index": encoded,
        "dtype": "object" if variable.dtype.kind == "O" else variable.dtype.str,
    }


# -- reading --------------------------------------------------------------------------------------


def value(tag: str, node: dict[str, Any], reader: Reader) -> Any:
    """Decode a dataset, or an array with its coordinates; in memory of the reader's own."""
    import xarray

    indexes = {
        name: xarray.indexes.PandasIndex(
            reader.value(of["index"]), name, coord_dtype=np.dtype(of["dtype"])
        )
        for name, of in node["coords"]
        if "index" in of
    }
    variables = {name: _read(name, of, indexes, reader) for name, of in node["coords"]}
    coords = xarray.Coordinates(variables, indexes=indexes)
    if tag == "dataarray":
        variable = _read("", node[tag], {}, reader)
        return xarray.DataArray(variable, coords=coords, name=reader.value(node["name"]))
    data = {name: _read(name, of, {}, reader) for name, of in node[tag]}
    return xarray.Dataset(data, coords=coords, attrs=reader.value(node["attrs"]))


def _read(name: str, node: dict[str, Any], indexes: Mapping[str, Any], reader: Reader) -> Any:
    import xarray

    attrs = reader.value(node["attrs"])
    if "index" in node:
        variable = indexes[name].create_variables()[name]
        variable.attrs = attrs
        return variable
    if "plain" in node:
        return xarray.Variable(node["dims"], reader.leaves[node["plain"]].copy(), attrs)
    texts = texts_of(reader.leaves[node["texts"]]).reshape(node["shape"])
    return xarray.Variable(node["dims"], texts.astype(node["dtype"]), attrs)


# -- on disk --------------------------------------------------------------------------------------


def outline(node: dict[str, Any], leaves: tuple[Leaf, ...]) -> Part:
    """Lay it out as xarray does: dimensions are named, and coordinates listed."""
    tag = next(iter(node))
    names = Names("tree")
    named = [("", node[tag])] if tag == "dataarray" else node[tag]
    parts: dict[str, Part] = {}
    listed: list[str] = []
    # First the coordinates: those that are indexes must have the names of their dimensions.
    for name, of in node["coords"]:
        shown = names.kept(name) or names.safe("coordinate")
        parts[shown] = _outline(of, leaves)
        if [name] != of["dims"] and " " not in shown:
            listed.append(shown)
    for name, of in named:
        label = node["name"] if tag == "dataarray" else name
        parts[names.kept(label) or names.safe("values")] = _outline(of, leaves)
    attributes = _shown(node["attrs"], leaves) if "attrs" in node else {}
    return Group({**attributes, **({"coordinates": " ".join(listed)} if listed else {})}, parts)


def _outline(node: dict[str, Any], leaves: tuple[Leaf, ...]) -> Part:
    attributes, dims = _shown(node["attrs"], leaves), tuple(node["dims"])
    if "index" in node:
        array = column_outline(node["index"]["index"])
        assert isinstance(array, Array)
        return replace(array, attributes=attributes, dimensions=dims)
    if "plain" in node:
        return Array(node["plain"], attributes, dimensions=dims)
    return Array(node["texts"], attributes, True, tuple(node["shape"]), dims)


def _shown(attrs: dict[str, Any], leaves: tuple[Leaf, ...]) -> dict[str, Any]:
    """Return the attributes that are JSON, or numbers of NumPy; the tree has all of them."""
    shown: dict[str, Any] = {}
    for key, of in attrs.get("dict", {}).items():
        body = of
        if isinstance(of, dict) and next(iter(of)) in {"scalar", "array"}:
            leaf = leaves[next(iter(of.values()))]
            body = leaf.tolist() if leaf.dtype.kind in "biufU" and leaf.ndim <= 1 else None
        if key != "coordinates" and all(map(is_plain, body if isinstance(body, list) else [body])):
            shown[key] = body
    return shown


# -- for people -----------------------------------------------------------------------------------


def summary(value: Any, _: Callable[[Any], str]) -> str:
    """Describe it: ``Dataset (time 2, x 3): t, s``; ``DataArray float64 (time 2, x 3)``."""
    sizes = ", ".join(f"{name} {size}" for name, size in value.sizes.items())
    if type(value).__name__ == "DataArray":
        return f"DataArray {value.dtype} ({sizes})"
    return f"Dataset ({sizes}): {', '.join(map(str, value.data_vars))}"


KIND = Kind("dataset", ("dataset", "dataarray"), recognises, node, value, summary, outline)
