"""Kind ``pickle``: what has no typed form, as cloudpickle's bytes in a leaf of uint8.

Its content id is the hash of those bytes, so it is as stable as the class's own pickling. Decoding
runs code: a store decodes only what has the hash under which it was committed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jupyter_wf.encodings.encoded import Kind, Reader, Writer
from jupyter_wf.errors import StoreError

_PROTOCOL = 5


def node(value: Any, writer: Writer) -> Any:
    """Pickle a whole value."""
    import cloudpickle
    import numpy as np

    try:
        data = cloudpickle.dumps(value, protocol=_PROTOCOL)
    except Exception as error:
        # A pickle that gives up may do so with any exception, RecursionError among them.
        raise StoreError(
            f"A {type_name(value)} can't be stored: {type(error).__name__}: {error}. "
            f"Return the data it was made from, such as arrays, dicts and dataclasses."
        ) from error
    return {"pickle": writer.leaf(np.frombuffer(data, dtype="u1"))}


def value(tag: str, node: dict[str, Any], reader: Reader) -> Any:
    """Unpickle; called for values whose hash was verified."""
    from jupyter_wf.encodings.unpickling import unpickle

    try:
        return unpickle(reader.leaves[node[tag]].data)
    except Exception as error:
        raise StoreError(
            f"The stored pickle can't be read here: {type(error).__name__}: {error}. "
            f"Install what it was made with, or compute the value again."
        ) from error


def type_name(value: Any) -> str:
    """Name the type of a value in full, without asking the value."""
    cls = type(value)
    return (
        cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    )


def summary(value: Any, _: Callable[[Any], str]) -> str:
    """Describe a pickled value by its type alone: its ``repr`` may be slow or hostile."""
    return f"pickled {type_name(value)}"


KIND = Kind("pickle", ("pickle",), lambda _: True, node, value, summary)
