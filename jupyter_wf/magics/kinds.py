"""Which variables of a notebook are code, that travels with a task, and which are its data."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any


def is_definition(value: Any) -> bool:
    """Whether a value is code, which travels with the task, rather than data, which is an input."""
    if isinstance(value, ModuleType | FunctionType | BuiltinFunctionType | MethodType | type):
        return True
    if not callable(value):
        return False
    # What a package keeps under its own name (numpy.sin), or made of a function (jax.jit).
    top = sys.modules.get(type(value).__module__.partition(".")[0])
    own = getattr(value, "__name__", None)
    return (isinstance(own, str) and getattr(top, own, None) is value) or hasattr(
        value, "__wrapped__"
    )


def is_of_notebook(value: Any, depth: int = 3) -> bool:
    """Whether a value is an instance of a class of the notebook, or a container of such.

    It counts as code, by its class and fields: its pickle holds the class by value, and that is
    another one after every restart of the kernel.
    """
    if isinstance(value, dict):
        entries: Iterable[Any] = value.values()
    elif isinstance(value, list | tuple | set | frozenset):
        entries = value
    else:
        return type(value).__module__ == "__main__"
    few = itertools.islice(entries, 1000)
    return bool(depth) and any(is_of_notebook(entry, depth - 1) for entry in few)
