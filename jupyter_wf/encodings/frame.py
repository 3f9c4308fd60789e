"""Kind ``frame``: pandas' frames, series and indexes of one level.

Columns are kept one by one, so that how pandas holds them in blocks is not part of a frame; their
order is. A frame of many columns of one dtype of numbers is one matrix instead. What is kept beside
the columns: the index, all names, ``attrs``, and the frequency of an index of dates. A frame that
is read is a copy of the reader's own.

Of several levels, of intervals and periods, of Arrow's dtypes, and subclasses: no typed form.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from jupyter_wf.encodings.array import leaf_of
from jupyter_wf.encodings.columns import (
    attributes,
    column_node,
    column_outline,
    column_value,
    is_object,
    text_dtype,
)
from jupyter_wf.encodings.encoded import Array, Group, Kind, Leaf, Part, Reader, Untyped, Writer
from jupyter_wf.encodings.outline import Names

_INDEXES = ("Index", "RangeIndex", "DatetimeIndex", "TimedeltaIndex", "CategoricalIndex")
_TYPES = ("DataFrame", "Series", *_INDEXES)
#: From this many columns on, an array each would cost more than all else.
MANY = 100
_INDEX = "_index"


def recognises(cls: type) -> bool:
    """Whether instances of `cls` are frames, series or indexes, and not of a subclass."""
    pandas = sys.modules.get("pandas")
    return cls.__name__ in _TYPES and getattr(pandas, cls.__name__, None) is cls


# -- writing --------------------------------------------------------------------------------------


def node(value: Any, writer: Writer) -> Any:
    """Encode a frame, series or index."""
    name = type(value).__name__
    if name not in {"DataFrame", "Series"}:
        return _index_node(value, writer)
    if not value.flags.allows_duplicate_labels:
        raise Untyped(f"a {name} that forbids duplicate labels")
    body: dict[str, Any]
    if name == "Series":
        body = {"series": column_node(value, writer), "name": writer.node(value.name)}
    else:
        body = {"frame": _columns(value, writer), "columns": _labels(value.columns, writer)}
    body["index"] = _index_node(value.index, writer)
    return {**body, "attrs": writer.node(value.attrs)} if value.attrs else body


def _columns(frame: Any, writer: Writer) -> Any:
    import numpy as np

    dtypes = set(frame.dtypes)
    if frame.shape[1] >= MANY and len(dtypes) == 1:
        (dtype,) = dtypes
        if isinstance(dtype, np.dtype) and dtype.kind in "biufc":
            return {"matrix": writer.leaf(leaf_of(frame.to_numpy()))}
    columns = []
    for position in range(frame.shape[1]):
        try:
            columns.append(column_node(frame.iloc[:, position], writer))
        except Untyped as error:
            error.path.insert(0, f".iloc[:, {position}]")
            raise
    return columns


def _labels(labels: Any, writer: Writer) -> Any:
    """Encode the labels of columns; text and objects as JSON, since there are few of them."""
    import pandas as pd

    if type(labels) is pd.Index and (dtype := text_dtype(labels.dtype)) in {"str", "object"}:
        name = writer.node(labels.name)
        return {"labels": writer.node(labels.tolist()), "dtype": dtype, "name": name}
    return _index_node(labels, writer)


def _index_node(index: Any, writer: Writer) -> Any:
    if type(index).__name__ not in _INDEXES:
        raise Untyped(f"a {type(index).__name__}")
    body = {"index": column_node(index, writer), "name": writer.node(index.name)}
    offset = getattr(index, "freq", None)
    if offset is None:
        return body
    from pandas.tseries.frequencies import to_offset

    if to_offset(index.freqstr) != offset:
        raise Untyped(f"an index of dates every {index.freqstr}")
    return {**body, "every": index.freqstr}


# -- reading --------------------------------------------------------------------------------------


def value(tag: str, node: dict[str, Any], reader: Reader) -> Any:
    """Decode a frame, series or index."""
    import pandas as pd

    if tag == "index":
        return _index(node, reader)
    index = _index(node["index"], reader)
    if tag == "series":
        name = reader.value(node["name"])
        array = column_value(node["series"], reader)
        made = pd.Series(array, index=index, name=name, dtype=array.dtype, copy=True)
    else:
        labels = _index(node["columns"], reader)
        columns = node["frame"]
        if isinstance(columns, dict):
            made = pd.DataFrame(reader.leaves[columns["matrix"]], index=index, copy=True)
        else:
            arrays = (_column(column, index, reader) for column in columns)
            made = pd.DataFrame(dict(enumerate(arrays)), index=index, copy=True)
        made.columns = labels
    if "attrs" in node:
        made.attrs = reader.value(node["attrs"])
    return made


def _column(node: dict[str, Any], index: Any, reader: Reader) -> Any:
    import pandas as pd

    array = column_value(node, reader)
    return pd.Series(array, index=index, dtype=object) if is_object(node) else array


def _index(node: dict[str, Any], reader: Reader) -> Any:
    import pandas as pd

    name = reader.value(node["name"])
    if "labels" in node:
        labels = reader.value(node["labels"])
        return pd.Index(labels, dtype=node["dtype"], name=name, tupleize_cols=False)
    array = column_value(node["index"], reader)
    if "every" in node:
        made = pd.Index(array, name=name)
        made.freq = node["every"]
        return made
    if isinstance(array, pd.RangeIndex):
        return array.rename(name)
    return pd.Index(array, dtype=array.dtype, name=name)


# -- on disk --------------------------------------------------------------------------------------


def outline(node: dict[str, Any], leaves: tuple[Leaf, ...]) -> Part:
    """Lay a frame out as AnnData does; a series as a frame of one column.

    A column that can't be a name is called by its position.
    """
    if "index" in node and "name" in node and "series" not in node:
        return column_outline(node["index"])
    if "series" in node:
        labels, columns = [node["name"]], [node["series"]]
    elif isinstance(node["frame"], dict):
        values = Array(node["frame"]["matrix"], attributes("array"))
        return Group({}, {"values": values, _INDEX: column_outline(node["index"]["index"])})
    else:
        labels, columns = _shown_labels(node["columns"], leaves), node["frame"]
    names = Names("tree", _INDEX)
    shown = [str(label) if type(label) in {str, int} else None for label in labels]
    order = [names.kept(label) or names.safe(f"column-{at}") for at, label in enumerate(shown)]
    index = names.kept(node["index"]["name"]) or _INDEX
    parts = {index: column_outline(node["index"]["index"])}
    parts |= {name: column_outline(column) for name, column in zip(order, columns, strict=True)}
    return Group(
        {
            "encoding-type": "dataframe",
            "encoding-version": "0.2.0",
            "column-order": order,
            "_index": index,
        },
        parts,
    )


def _shown_labels(node: dict[str, Any], leaves: tuple[Leaf, ...]) -> list[Any]:
    if "labels" in node:
        return list(node["labels"])
    column = node["index"]
    if "range" in column:
        return list(range(*column["range"]))
    return leaves[next(iter(column.values()))].tolist()  # type: ignore[no-any-return]


# -- for people -----------------------------------------------------------------------------------


def summary(value: Any, part: Callable[[Any], str]) -> str:
    """Describe a frame: ``DataFrame (150, 2): 'a' float64, 'b' str``."""
    name = type(value).__name__
    if name in _INDEXES:
        return f"{name} {value.dtype} of {len(value)}"
    if name == "Series":
        return f"Series {value.dtype} of {len(value)}"
    pairs = zip(value.columns[:20], value.dtypes.iloc[:20], strict=True)
    shown = ", ".join(f"{part(label)} {dtype}" for label, dtype in pairs)
    return f"DataFrame {value.shape}: {shown}" if shown else f"DataFrame {value.shape}"


KIND = Kind("frame", ("frame", "series", "index"), recognises, node, value, summary, outline)
