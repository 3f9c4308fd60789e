"""Says what a value is that code uses but that is no definition: numbers, arrays, settings, calls.

Plain values and containers are written out; instances of named tuples, dataclasses and enums by
class and fields; arrays and whatever else has a typed encoding by their content id. Instances of
the standard library's and of the user's own classes count by what `copy` would take along, which
sockets, locks, files and generators refuse. Anything else is refused by name: a value whose
identity can't be told is never hashed by accident.
"""

from __future__ import annotations

import copyreg
import dataclasses
import enum
import functools
import sys
import types
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from jupyter_wf.closure import packages
from jupyter_wf.encodings import encode
from jupyter_wf.errors import FingerprintError
from jupyter_wf.graph import Slot

if TYPE_CHECKING:
    from jupyter_wf.closure.walk import Walker

_PLAIN = frozenset(
    {bool, int, float, complex, str, bytes, type(None), type(Ellipsis), type(NotImplemented)}
)
_FROZEN = frozenset({tuple, frozenset, Slot})
_MUTABLE = frozenset({list, dict, set})


def token(walker: Walker, value: Any, name: str, user: str) -> str:
    """Say what a value is; see `Walker.token`."""
    kind = type(value)
    if kind in _PLAIN:
        return f"{kind.__name__} {hex(value) if kind is int else repr(value)}"
    if id(value) in walker.active:
        raise FingerprintError(f"{user} uses {name!r}, which contains itself. Break the circle.")
    walker.active.add(id(value))
    try:
        if kind in _FROZEN:
            return _container(walker, value, name, user)
        if kind in _MUTABLE:
            return walker.watch(value, name, user, _container)
        found = _callable(walker, value, name, user)
        return walker.watch(value, name, user, _instance) if found is None else found
    except RecursionError:
        raise FingerprintError(f"{user} uses {name!r}, which is nested too deeply.") from None
    finally:
        walker.active.discard(id(value))


def _each(walker: Walker, values: Iterable[Any], name: str, user: str) -> list[str]:
    return [walker.token(v, f"{name}[{i}]", user) for i, v in enumerate(values)]


def _fields(walker: Walker, items: Iterable[tuple[str, Any]], name: str, user: str) -> str:
    return ", ".join(f"{key!r}: {walker.token(v, f'{name}.{key}', user)}" for key, v in items)


def _container(walker: Walker, value: Any, name: str, user: str) -> str:
    kind = type(value)
    if kind is tuple or kind is list:
        if all(type(entry) in _PLAIN for entry in value):
            with suppress(ValueError):  # Python won't print an int of thousands of digits
                return f"{kind.__name__} {value!r}"
        return f"{kind.__name__}({', '.join(_each(walker, value, name, user))})"
    if kind is dict:
        # The order of a dict shows when it is iterated over, so it is part of what the dict is.
        keys = _each(walker, value, f"{name} key ", user)
        entries = [walker.token(v, f"{name}[{k!r:.40}]", user) for k, v in value.items()]
        return f"dict({', '.join(f'{k}: {v}' for k, v in zip(keys, entries, strict=True))})"
    if kind is Slot:
        return f"Slot({value.name!r})"
    return f"{kind.__name__}({', '.join(sorted(_each(walker, value, name, user)))})"


def _callable(walker: Walker, value: Any, name: str, user: str) -> str | None:
    if isinstance(value, functools.partial):
        called = ", ".join(_each(walker, (value.func, *value.args), name, user))
        return f"partial({called}, {_fields(walker, value.keywords.items(), name, user)})"
    if isinstance(value, types.MethodType):
        bound = _each(walker, (value.__self__, value.__func__), name, user)
        return f"method({', '.join(bound)})"
    if isinstance(value, types.BuiltinFunctionType):
        owner = value.__self__
        if owner is not None and not isinstance(owner, types.ModuleType):
            return f"method({walker.token(owner, name, user)}, {value.__name__!r})"
    if isinstance(value, types.GeneratorType | types.CoroutineType | types.AsyncGeneratorType):
        raise _refusal(value, name, user)
    if not callable(value):
        return None
    label = walker.foreign(value, name, user) or _attribute(walker, value, name, user)
    if label is not None:
        return f"<{label!r}>"
    if not hasattr(value, "__wrapped__"):
        return None
    kind = type(value)
    if _is_ours(kind) or isinstance(value, functools._lru_cache_wrapper):
        # Of what a task asks for, only its environment says what it computes.
        around = getattr(value, "around", None)
        more = f", {around.parts!r}" if around is not None else ""
        return f"wrapped({walker.token(value.__wrapped__, name, user)}{more})"
    # What a package made of a function, such as jax.jit; its private attributes are its own affair.
    given = {k: v for k, v in vars(value).items() if not k.startswith("_")}
    given["__wrapped__"] = value.__wrapped__
    made_by = walker.module(kind.__module__, None, user, name)
    fields = _fields(walker, sorted(given.items()), name, user)
    return f"wrapped({made_by!r}, {kind.__qualname__!r}, {fields})"


def _attribute(walker: Walker, value: Any, name: str, user: str) -> str | None:
    """Label of an object, such as ``numpy.sin``, that its package keeps under its own name."""
    top = type(value).__module__.partition(".")[0]
    own = getattr(value, "__name__", None)
    if isinstance(own, str) and getattr(sys.modules.get(top), own, None) is value:
        return f"{walker.module(top, None, user, name)}:{top}.{own}"
    return None


def _instance(walker: Walker, value: Any, name: str, user: str) -> str:
    kind = type(value)
    if _is_ours(kind) and kind.__name__ == "DataHandle":
        raise FingerprintError(
            f"{user} uses {name!r}, which is data of the workflow and not a constant. "
            f"Pass it as an argument, so that the task depends on it."
        )
    if isinstance(value, enum.Enum):
        return f"enum({walker.token(kind, name, user)}, {value.name!r})"
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        items: Iterable[tuple[str, Any]] = zip(kind._fields, value, strict=True)
    elif dataclasses.is_dataclass(kind):
        items = [
            (field.name, getattr(value, field.name))
            for field in dataclasses.fields(kind)
            if hasattr(value, field.name)
        ]
    else:
        return _other(walker, value, name, user)
    return f"record({walker.token(kind, name, user)}, {_fields(walker, items, name, user)})"


def _other(walker: Walker, value: Any, name: str, user: str) -> str:
    kind = type(value)
    try:
        return f"content {encode(value, pickle=False).id}"
    except FingerprintError:
        known = walker.is_home(kind.__module__) or any(
            (base.__module__, base.__name__) == ("numpy", "dtype") for base in kind.__mro__
        )
        if not known and packages.origin(kind.__module__).kind not in ("stdlib", "local"):
            raise _refusal(value, name, user) from None
    try:
        reduce = copyreg.dispatch_table.get(kind)
        reduced = value.__reduce_ex__(2) if reduce is None else reduce(value)
    except Exception:  # noqa: BLE001 - runs code of any class
        raise _refusal(value, name, user) from None
    if isinstance(reduced, str):
        return f"global({walker.token(kind, name, user)}, {reduced!r})"
    make, given, *rest = reduced
    state, entries, items = (*rest, None, None, None)[:3]
    written = [walker.token(make, name, user), *_each(walker, given, name, user)]
    written += [walker.token(list(more or ()), name, user) for more in (entries, items)]
    if isinstance(state, dict):
        written.append(_fields(walker, state.items(), name, user))
    else:
        written.append(walker.token(state, name, user))
    return f"object({', '.join(written)})"


def _is_ours(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == packages.OURS


def _refusal(value: object, name: str, user: str) -> FingerprintError:
    kind = type(value)
    prefix = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return FingerprintError(
        f"{user} uses {name!r}, a {prefix}{kind.__qualname__}, which has no stable identity. "
        f"Create it inside, or pass numbers, text or arrays from which it can be made there."
    )
