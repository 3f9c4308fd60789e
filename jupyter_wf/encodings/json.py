"""Kind ``json``: None and Python's own numbers, text and bytes, exactly typed.

None, booleans, text, integers of 64 bits and finite floats are JSON as they are (``1`` and ``1.0``
and ``true`` stay apart); what JSON can't hold is an object with one tag. The sign and payload of
a float NaN are not kept.
"""

from __future__ import annotations

import base64
import json.encoder
import math
from collections.abc import Callable
from typing import Any

from jupyter_wf.encodings.encoded import Kind, Reader, Writer

TYPES: frozenset[type] = frozenset({type(None), bool, int, float, str, bytes, complex})
#: Bytes up to this size are text in the tree; longer ones are a leaf.
INLINE_BYTES = 256
_quote: Callable[[str], str] = json.encoder.encode_basestring_ascii


def is_plain(value: Any) -> bool:
    """Whether a value is JSON as it is."""
    cls = type(value)
    if cls is str or cls is bool or value is None:
        return True
    if cls is int:
        return bool(-(2**63) <= value < 2**63)
    return cls is float and math.isfinite(value)


def plain_text(value: Any) -> str | None:
    """Return canonical JSON of a value that is JSON as it is, else None; never imports anything."""
    cls = type(value)
    if cls is str:
        return _quote(value)
    if not is_plain(value):
        return None
    if cls is bool:
        return "true" if value else "false"
    return "null" if value is None else repr(value)


def node(value: Any, writer: Writer) -> Any:
    """Encode a scalar."""
    if is_plain(value):
        return value
    if isinstance(value, int):
        return {"int": hex(value)}
    if isinstance(value, float):
        return {"float": repr(value)}
    if isinstance(value, complex):
        return {"complex": [writer.node(value.real), writer.node(value.imag)]}
    if len(value) <= INLINE_BYTES:
        return {"bytes": base64.b64encode(value).decode("ascii")}
    import numpy as np

    return {"bytes": writer.leaf(np.frombuffer(value, dtype="u1"))}


def value(tag: str, node: dict[str, Any], reader: Reader) -> Any:
    """Decode a scalar."""
    body = node[tag]
    if tag == "int":
        return int(body, 16)
    if tag == "float":
        return float(body)
    if tag == "complex":
        return complex(reader.value(body[0]), reader.value(body[1]))
    if isinstance(body, str):
        return base64.b64decode(body, validate=True)
    return reader.leaves[body].tobytes()


def summary(value: Any, _: Callable[[Any], str]) -> str:
    """Describe a scalar: ``42``, ``'text'``, ``bytes of 1000``."""
    if isinstance(value, str):
        return repr(value[:130])
    if isinstance(value, bytes):
        return repr(value) if len(value) <= 40 else f"bytes of {len(value)}"
    if type(value) is int and value.bit_length() > 400:
        return f"int of {value.bit_length()} bits"
    return repr(value)


KIND = Kind("json", ("int", "float", "complex", "bytes"), TYPES.__contains__, node, value, summary)
