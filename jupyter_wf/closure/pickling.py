"""Pickles what a worker needs to run a task: the notebook's and local modules' code by value.

So a worker needs none of the user's files, and runs the very code that has the fingerprint. Where
a local module can't be pickled by value, it goes by name, for workers that can import it.
"""

from __future__ import annotations

import functools
import importlib
import io
import sys
import threading
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from types import ModuleType
from typing import Any, Protocol

from jupyter_wf.errors import CaptureError

_REGISTRY = threading.Lock()


class Walked(Protocol):
    """What is known of what a function uses."""

    @property
    def home(self) -> AbstractSet[str]:
        """Modules whose definitions are followed one by one."""

    @property
    def local(self) -> AbstractSet[str]:
        """Other modules of the user's own."""

    @property
    def captures(self) -> Sequence[tuple[str, str, object]]:
        """(who, name, value) of all that was met."""


def pickled(value: object, walker: Walked, user: str) -> bytes:
    """Pickle a function, or the definitions of a cell, that `walker` has walked.

    Raises `CaptureError` that names what can't be pickled.
    """
    try:
        return _by_value(value, {*walker.local, *walker.home} - {"__main__"})
    except Exception:  # noqa: BLE001 - pickling runs code of any class
        try:
            return _dumps(value)
        except Exception as error:
            raise _culprit(walker, user, error) from error


def _by_value(value: object, names: set[str]) -> bytes:
    import cloudpickle

    with _REGISTRY:
        known = cloudpickle.list_registry_pickle_by_value()
        added = [sys.modules[name] for name in names if name in sys.modules and name not in known]
        for module in added:
            cloudpickle.register_pickle_by_value(module)
        try:
            return _dumps(value)
        finally:
            for module in added:
                cloudpickle.unregister_pickle_by_value(module)


def _dumps(value: object) -> bytes:
    buffer = io.BytesIO()
    _pickler()(buffer).dump(value)
    return buffer.getvalue()


@functools.cache
def _pickler() -> Any:
    """Extend cloudpickle by what is common in notebooks: two decorators, and lazy modules."""
    import cloudpickle

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        def reducer_override(self, obj: Any) -> Any:
            if isinstance(obj, functools._lru_cache_wrapper) and not _importable(obj):
                return remake_cache, (obj.__wrapped__, obj.cache_parameters())
            if isinstance(obj, ModuleType) and type(obj) is not ModuleType and _loaded(obj):
                return importlib.import_module, (obj.__name__,)
            if isinstance(obj, functools.cached_property):
                return remake_property, (obj.func, obj.attrname)
            return super().reducer_override(obj)

    return Pickler


def _loaded(module: ModuleType) -> bool:
    """Whether a module is the one of its name: cloudpickle knows no module of a subclass."""
    return sys.modules.get(module.__name__) is module


def _importable(value: Any) -> bool:
    module = sys.modules.get(value.__module__)
    found = getattr(module, value.__qualname__, None)
    return found is value and value.__module__ != "__main__"


def remake_cache(function: Callable[..., Any], parameters: dict[str, Any]) -> Any:
    """Make a function decorated by ``functools.lru_cache`` again, with an empty cache."""
    return functools.lru_cache(**parameters)(function)


def remake_property(function: Callable[..., Any], name: str) -> Any:
    """Make a ``functools.cached_property`` again."""
    made: Any = functools.cached_property(function)
    made.attrname = name
    return made


def _culprit(walker: Walked, user: str, error: Exception) -> CaptureError:
    """Name the innermost thing that can't be pickled; what uses it was met before it."""
    for who, name, value in reversed(walker.captures):
        try:
            _dumps(value)
        except Exception as reason:  # noqa: BLE001 - as above
            return CaptureError(
                f"{user} can't be sent to a worker: {who} uses {name!r}, a "
                f"{type(value).__qualname__}, which can't be pickled ({reason}). Create it inside, "
                f"or pass it as an argument."
            )
    return CaptureError(f"{user} can't be sent to a worker: it can't be pickled ({error}).")
