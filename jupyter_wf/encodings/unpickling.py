"""Unpickles values, as instances of the classes that the notebook has, left as they are.

cloudpickle sends a notebook's class by value. On arrival it sets every attribute anew, even where
the class came from: its methods would then see a copy of the notebook's variables, not these. And
after a restart of the kernel it makes a second class, which `isinstance` and ``==`` tell from ours.
"""

from __future__ import annotations

import functools
import io
import pickle
import sys
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

#: Classes that were made here from a pickle; all others that cloudpickle knows were written here.
_MADE: WeakSet[type] = WeakSet()
_MAKERS = frozenset({"_make_skeleton_class", "_make_skeleton_enum"})


def unpickle(data: bytes | memoryview) -> Any:
    """Return the value that was pickled, by pickle or cloudpickle; runs code of its classes.

    Examples
    --------
    >>> unpickle(pickle.dumps({"a": 1}))
    {'a': 1}
    """
    return _Unpickler(io.BytesIO(data)).load()


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("numpy._core."):
            module = _numpy_core() + module.removeprefix("numpy._core")
        found = super().find_class(module, name)
        if module.partition(".")[0] != "cloudpickle":
            return found
        if name in _MAKERS:
            return functools.partial(_make, found)
        return functools.partial(_set_state, found) if name == "_class_setstate" else found


@functools.cache
def _numpy_core() -> str:
    """Name what NumPy 2 pickles arrays by: an environment may have a version from before it."""
    import numpy

    return "numpy.core" if numpy.__version__.startswith("1.") else "numpy._core"


def _make(make: Callable[..., type], *arguments: Any) -> type:
    """Make a class, or find the one of this identity."""
    from cloudpickle import cloudpickle

    identity = arguments[-2]
    if identity in cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID:
        return make(*arguments)
    if make is cloudpickle._make_skeleton_enum:
        bases, name, module = arguments[0], arguments[1], arguments[4]
    else:
        name, bases, module = arguments[1], arguments[2], arguments[3].get("__module__")
    here = _here(name, bases) if module == "__main__" else None
    if here is not None:
        return here
    made = make(*arguments)
    _MADE.add(made)
    return made


def _here(name: str, bases: tuple[type, ...]) -> type | None:
    """Find the class of this name in the notebook, as a pickle by name would; None on a worker."""
    found = vars(sys.modules["__main__"]).get(name)
    if not isinstance(found, type) or (found.__module__, found.__qualname__) != ("__main__", name):
        return None
    alike = [base.__qualname__ for base in found.__bases__] == [b.__qualname__ for b in bases]
    return found if alike else None


def _set_state(set_state: Callable[..., type], cls: type, state: Any) -> type:
    return set_state(cls, state) if cls in _MADE else cls
