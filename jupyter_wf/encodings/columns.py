"""The one-dimensional arrays that frames of pandas consist of, as JSON and leaves, and as Zarr.

``{"plain": i}``
    numbers, truth values, dates without zone, durations
``{"instants": i, "zone": …}``
    dates with a zone: UTC, and the zone's name or its seconds from UTC
``{"values": i, "mask": j, "dtype": "Int64"}``
    nullable numbers and truth values
``{"texts": i, "mask": j, "dtype": "str"}``
    ``str``, ``string``, or objects that are all text
``{"codes": i, "categories": …, "ordered": …}``
    categorical; the categories are such an array themselves
``{"range": [start, stop, step]}``
    a range, of which nothing else needs to be kept

There is a ``mask`` where something is missing; what is under it is always 0, NaN or ``""``, and
how pandas holds text is not part of it. On disk a column is as AnnData has it.
"""

from __future__ import annotations

from datetime import UTC, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from jupyter_wf.encodings.array import leaf_of
from jupyter_wf.encodings.encoded import Array, Group, Leaf, Part, Reader, Untyped, Writer
from jupyter_wf.encodings.texts import leaf_of_texts, texts_of
from jupyter_wf.errors import StoreError

_VERSIONS = {
    "array": "0.2.0",
    "string-array": "0.2.0",
    "categorical": "0.2.0",
    "nullable-integer": "0.1.0",
    "nullable-boolean": "0.1.0",
    "nullable-string-array": "0.1.0",
}


_NULLABLE = frozenset({"boolean", "Float32", "Float64"}) | {
    f"{sign}Int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)
}


def attributes(kind: str) -> dict[str, Any]:
    """Return what AnnData calls an array of this kind."""
    return {"encoding-type": kind, "encoding-version": _VERSIONS[kind]}


def column_node(column: Any, writer: Writer) -> dict[str, Any]:
    """Encode a series or an index of one level; raise `Untyped` if it has no form."""
    import pandas as pd

    if isinstance(column, pd.RangeIndex):
        return {"range": [column.start, column.stop, column.step]}
    dtype = column.dtype
    if isinstance(dtype, pd.StringDtype):
        return _text_node(column.array, dtype, writer)
    if isinstance(dtype, pd.CategoricalDtype):
        if dtype.categories.name is not None or getattr(dtype.categories, "freq", None) is not None:
            raise Untyped("categories with a name or a frequency")
        return {
            "codes": writer.leaf(leaf_of(column.array.codes)),
            "categories": column_node(dtype.categories, writer),
            "ordered": bool(dtype.ordered),
        }
    if isinstance(dtype, pd.DatetimeTZDtype):
        instants = column.array.tz_convert(None)
        return {"instants": writer.leaf(leaf_of(np.asarray(instants))), "zone": _zone(dtype.tz)}
    if isinstance(dtype, np.dtype):
        values = np.asarray(column)
        if dtype.kind == "O":
            return {"texts": writer.leaf(leaf_of_texts(values)), "dtype": "object"}
        return {"plain": writer.leaf(leaf_of(values))}
    if str(dtype) in _NULLABLE:
        hidden = np.nan if dtype.kind == "f" else 0
        mask = np.asarray(column.array.isna())
        values = column.array.to_numpy(dtype=dtype.numpy_dtype, na_value=hidden)
        return {"values": writer.leaf(leaf_of(values)), **_mask(mask, writer), "dtype": str(dtype)}
    raise Untyped(f"a column of dtype {dtype}")


def _text_node(array: Any, dtype: Any, writer: Writer) -> dict[str, Any]:
    mask = np.asarray(array.isna())
    texts = array.to_numpy(dtype=object, na_value="")
    leaf = writer.leaf(leaf_of_texts(texts))
    return {"texts": leaf, **_mask(mask, writer), "dtype": text_dtype(dtype)}


def text_dtype(dtype: Any) -> str | None:
    """Return ``"str"``, ``"string"`` or ``"object"`` for a dtype that may hold text, else None."""
    import pandas as pd

    if isinstance(dtype, pd.StringDtype):
        return "string" if dtype.na_value is pd.NA else "str"
    return "object" if dtype.kind == "O" and isinstance(dtype, np.dtype) else None


def _mask(mask: Leaf, writer: Writer) -> dict[str, int]:
    return {"mask": writer.leaf(leaf_of(mask))} if mask.any() else {}


def _zone(zone: Any) -> str | int:
    if type(zone) is ZoneInfo and zone.key:
        return zone.key
    if type(zone) is timezone:
        seconds = int(zone.utcoffset(None).total_seconds())
        if repr(zone) == repr(timezone(timedelta(seconds=seconds)) if seconds else UTC):
            return seconds
    raise Untyped(f"a column of dates whose zone is a {type(zone).__name__}")


def column_value(node: dict[str, Any], reader: Reader) -> Any:
    """Decode a column: an array of NumPy or pandas, which may share memory, or a range."""
    import pandas as pd

    if "range" in node:
        return pd.RangeIndex(*node["range"])
    if "plain" in node:
        return reader.leaves[node["plain"]]
    if "instants" in node:
        index = pd.DatetimeIndex(reader.leaves[node["instants"]])
        return index.tz_localize("UTC").tz_convert(_zone_of(node["zone"])).array
    if "codes" in node:
        categories = column_value(node["categories"], reader)
        index = pd.Index(categories, dtype=categories.dtype)
        dtype = pd.CategoricalDtype(index, ordered=node["ordered"])
        return pd.Categorical.from_codes(reader.leaves[node["codes"]], dtype=dtype)
    mask = reader.leaves[node["mask"]] if "mask" in node else None
    if "texts" in node:
        texts = texts_of(reader.leaves[node["texts"]])
        if node["dtype"] == "object":
            return texts
        dtype = pd.StringDtype(na_value=np.nan if node["dtype"] == "str" else pd.NA)
        if mask is not None:
            texts[mask] = dtype.na_value
        return pd.array(texts, dtype=dtype)
    values = reader.leaves[node["values"]]
    whole = np.zeros(len(values), dtype=bool) if mask is None else mask
    cls = type(pd.array([], dtype=node["dtype"]))
    return cls(values, whole)


def _zone_of(zone: str | int) -> Any:
    if isinstance(zone, int):
        return timezone(timedelta(seconds=zone)) if zone else UTC
    try:
        return ZoneInfo(zone)
    except ZoneInfoNotFoundError as error:
        raise StoreError(
            f"The value has dates in the zone {zone!r}, which is not known here. Install tzdata."
        ) from error


def is_object(node: dict[str, Any]) -> bool:
    """Whether a column is of objects, which pandas must be told lest it makes them ``str``."""
    return node.get("dtype") == "object"


def column_outline(node: dict[str, Any]) -> Part:
    """Lay a column out as AnnData does."""
    if "range" in node:
        return Array(range(*node["range"]), attributes("array"))
    if "codes" in node:
        parts = {
            "codes": Array(node["codes"], attributes("array")),
            "categories": column_outline(node["categories"]),
        }
        return Group({**attributes("categorical"), "ordered": node["ordered"]}, parts)
    if "texts" in node:
        values, kind = Array(node["texts"], attributes("string-array"), texts=True), "string-array"
    else:
        leaf = next(node[key] for key in ("plain", "instants", "values") if key in node)
        values, kind = Array(leaf, attributes("array")), "integer"
    dtype = node.get("dtype", "")
    # AnnData has no nullable floats: they are an array with NaN, and the mask lies beside it.
    if "mask" not in node or dtype.startswith("Float"):
        return values
    mask = Array(node["mask"], attributes("array"))
    kind = "boolean" if dtype == "boolean" else kind
    return Group(attributes(f"nullable-{kind}"), {"values": values, "mask": mask})
