"""A small picture of a value: a few kilobytes of JSON that a card can draw."""

from __future__ import annotations

import base64
import reprlib
from itertools import islice, pairwise
from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

POINTS = 160
CELLS = 40
SAMPLED = 400
NOTHING = 255  # stands for a block without any finite number
PIXELS = 72
ROWS, COLUMNS = 5, 6
LONGEST = 600
LARGEST_PICTURE = 60_000
PNG = b"\x89PNG\r\n\x1a\n"

Preview = dict[str, Any]


def preview(value: Any) -> Preview:
    """Return a preview of any value; it never raises.

    Returns
    -------
    dict
        With `kind`: ``"text"``, ``"line"`` (a numeric vector), ``"heat"`` (a numeric matrix, or the
        first one of a larger array), ``"image"`` (RGB), ``"png"`` or ``"table"``; see
        `protocol.json`.

    Examples
    --------
    >>> preview(3.5)
    {'kind': 'text', 'text': '3.5'}
    """
    try:
        return _preview(value)
    except Exception as error:  # noqa: BLE001 a value's own code may raise anything
        return _text(f"no preview: {type(error).__name__}: {error}")


def _preview(value: Any) -> Preview:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bytes | bytearray):
        return _png(bytes(value)) if value[:8] == PNG else _text(f"{len(value)} bytes")
    if hasattr(value, "dtype") and hasattr(value, "shape") and hasattr(value, "__array__"):
        found = _array(value)
        if found is not None:
            return found
    if hasattr(value, "columns") and hasattr(value, "head") and hasattr(value, "iloc"):
        return _table(value)
    if hasattr(value, "savefig"):
        return _figure(value)
    if hasattr(value, "_repr_png_"):
        picture = value._repr_png_()
        if isinstance(picture, bytes):
            return _png(picture)
    if isinstance(value, dict):
        return _text(_pairs(value))
    return _text(_short_repr(value))


def _text(text: str) -> Preview:
    return {"kind": "text", "text": text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"}


def _short_repr(value: Any) -> str:
    short = reprlib.Repr()
    short.maxstring = short.maxother = LONGEST
    short.maxdict = short.maxlist = short.maxtuple = short.maxset = 20
    return short.repr(value)


def _pairs(value: dict[Any, Any]) -> str:
    lines = [f"{_short_repr(key)}: {_brief(item)}" for key, item in islice(value.items(), 8)]
    if len(value) > len(lines):
        lines.append(f"… {len(value) - len(lines)} more")
    return "\n".join(lines) or "{}"


def _brief(value: Any) -> str:
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"{value.dtype} {tuple(value.shape)}"
    text = _short_repr(value)
    return text if len(text) <= 80 else text[:79] + "…"


def _png(data: bytes) -> Preview:
    if len(data) > LARGEST_PICTURE:
        return _text(f"PNG picture of {len(data)} bytes")
    return {"kind": "png", "data": base64.b64encode(data).decode()}


def _figure(figure: Any) -> Preview:
    from io import BytesIO

    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=64, bbox_inches="tight")
    return _png(buffer.getvalue())


def _table(frame: Any) -> Preview:
    rows, columns = frame.shape
    head = frame.head(ROWS).iloc[:, :COLUMNS]
    return {
        "kind": "table",
        "columns": [str(name)[:40] for name in head.columns],
        "index": [str(label)[:40] for label in head.index],
        "rows": [[_cell(item) for item in row] for row in head.itertuples(index=False)],
        "note": f"{rows} × {columns}",
    }


def _cell(item: Any) -> str:
    text = f"{item:.6g}" if isinstance(item, float) else str(item)
    return text if len(text) <= 40 else text[:39] + "…"


def _array(value: Any) -> Preview | None:
    import numpy as np

    kind = np.dtype(value.dtype).kind if _is_numpy_dtype(value.dtype) else "f"
    if kind not in "biufc" or not value.size:
        return _text(_short_repr(value)) if value.ndim == 0 else None
    if value.ndim == 0:
        return _text(str(np.asarray(value)))
    if value.ndim == 3 and value.shape[2] in (3, 4) and str(value.dtype) == "uint8":
        return _image(np.asarray(value))
    note = ""
    if value.ndim > 2:
        leading = (0,) * (value.ndim - 2)
        note = f"[{', '.join([*map(str, leading), ':', ':'])}]"
        value = value[leading]
    array = np.asarray(value)
    if array.dtype.kind == "c":
        array, note = np.abs(array), f"{note} absolute".strip()
    array = array.astype(np.float64)
    if array.ndim == 1:
        return _line(array, note) if array.size > 1 else _text(str(array))
    if 1 in array.shape and array.size > 1:
        return _line(array.ravel(), note)
    return _heat(array, note)


def _is_numpy_dtype(dtype: Any) -> bool:
    import numpy as np

    try:
        return bool(np.dtype(dtype).kind != "V")
    except TypeError:
        return False


def _line(array: np.ndarray[Any, Any], note: str) -> Preview:
    low, high = _range(array)
    if len(array) > POINTS:
        # The least and the greatest of each stretch, so that a peak is never lost.
        parts = [_range(part) for part in _parts(array, POINTS // 2)]
        values = [value for part in parts for value in part]
    else:
        values = [float(value) for value in array]
    return {
        "kind": "line",
        "values": [_rounded(value) for value in values],
        "low": _rounded(low),
        "high": _rounded(high),
        "note": note,
    }


def _heat(array: np.ndarray[Any, Any], note: str) -> Preview:
    import numpy as np

    low, high = _range(array)
    array = array[tuple(slice(None, None, max(1, size // SAMPLED)) for size in array.shape)]
    rows = _parts(array, min(CELLS, array.shape[0]))
    span = (high - low) or 1.0
    cells = bytearray()
    for row in rows:
        for block in _parts(row.T, min(CELLS, array.shape[1])):
            inside = block[np.isfinite(block)]
            share = (float(inside.mean()) - low) / span if inside.size else None
            cells.append(NOTHING if share is None else round(share * (NOTHING - 1)))
    return {
        "kind": "heat",
        "width": len(cells) // len(rows),
        "height": len(rows),
        "cells": base64.b64encode(cells).decode(),
        "low": _rounded(low),
        "high": _rounded(high),
        "note": note,
    }


def _image(array: np.ndarray[Any, Any]) -> Preview:
    import numpy as np

    step = max(1, -(-max(array.shape[:2]) // PIXELS))
    small = np.ascontiguousarray(array[::step, ::step, :3])
    return {
        "kind": "image",
        "width": int(small.shape[1]),
        "height": int(small.shape[0]),
        "rgb": base64.b64encode(small.tobytes()).decode(),
    }


def _parts(array: np.ndarray[Any, Any], count: int) -> list[np.ndarray[Any, Any]]:
    """Split along the first axis into `count` stretches as equal as can be."""
    edges = [len(array) * number // count for number in range(count + 1)]
    return [array[a:b] for a, b in pairwise(edges) if b > a]


def _range(array: np.ndarray[Any, Any]) -> tuple[float, float]:
    import numpy as np

    inside = array[np.isfinite(array)]
    return (float(inside.min()), float(inside.max())) if inside.size else (np.nan, np.nan)


def _rounded(value: float) -> float | None:
    """Return four significant digits, or None for what JSON can't hold."""
    found = float(f"{value:.4g}")
    return found if isfinite(found) else None
