"""Says what a class is that was written in the notebook: its bases, fields, values and methods."""

from __future__ import annotations

import dataclasses
import enum
import functools
import inspect
import types
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from jupyter_wf.closure.sources import source_of
from jupyter_wf.fingerprint import digest

if TYPE_CHECKING:
    from jupyter_wf.closure.walk import Walker

#: Bookkeeping that says nothing on what a class does, or that is told by other members.
_LEFT_OUT = frozenset(
    {
        *("__dict__", "__doc__", "__module__", "__qualname__", "__weakref__"),
        *("__annotations__", "__annotate__", "__annotate_func__", "__annotations_cache__"),
        *("__firstlineno__", "__static_attributes__", "__type_params__", "__parameters__"),
        *("__dataclass_fields__", "__dataclass_params__", "__match_args__", "__orig_bases__"),
        *("__abstractmethods__", "_abc_impl", "_is_protocol", "__protocol_attrs__"),
        *("__non_callable_proto_members__", "__slotnames__"),
    }
)
_METHODS = (types.FunctionType, property, staticmethod, classmethod)


def label(walker: Walker, cls: type, name: str, user: str) -> str:
    """Label of a class; adds the parts that stand for it."""
    found = None if walker.is_home(cls.__module__) else walker.foreign(cls, name, user)
    if found is not None:
        return found
    chosen = walker.reserve(cls, f"class {cls.__name__}")
    walker.later(chosen, functools.partial(_written, walker, cls))
    return chosen


def _written(walker: Walker, cls: type) -> str:
    shown = cls.__name__
    who = f"Class {shown!r}"
    written = [walker.token(base, base.__name__, who) for base in cls.__bases__]
    if type(cls) is not type:
        written.append(walker.token(type(cls), type(cls).__name__, who))
    for field, kind in inspect.get_annotations(cls).items():
        text = kind if isinstance(kind, str) else getattr(kind, "__qualname__", repr(kind))
        written.append(f"{field}: {text}")
    for member, value in _members(cls):
        if member in vars(cls):
            walker.reads.append((vars(cls), member, vars(cls)[member]))
        found = _member(walker, cls, value, f"{shown}.{member}", who)
        if found is not None:
            written.append(f"{member} = {found}")
    return digest("class", *written)


def _members(cls: type) -> Iterator[tuple[str, Any]]:
    space: Mapping[str, Any] = vars(cls)
    if issubclass(cls, enum.Enum):
        for name, member in cls.__members__.items():
            yield name, member.value
        hidden = {n for n in space if n[:1] == "_" and not isinstance(space[n], _METHODS)}
        hidden |= set(cls.__members__)
    else:
        hidden = set()
    if dataclasses.is_dataclass(cls) and "__dataclass_fields__" in space:
        yield "", repr(space["__dataclass_params__"])
        for field in dataclasses.fields(cls):
            settings = (field.init, field.repr, field.hash, field.compare, field.kw_only)
            yield field.name, (settings, _default(field.default), _default(field.default_factory))
        hidden |= set(space["__dataclass_fields__"])
    for name in sorted(set(space) - _LEFT_OUT - hidden):
        yield name, space[name]


def _default(value: Any) -> Any:
    return () if value is dataclasses.MISSING else (value,)


def _member(walker: Walker, cls: type, value: Any, name: str, user: str) -> str | None:
    """Say what a member is; None if it only repeats what is told elsewhere."""
    if isinstance(value, (types.MemberDescriptorType, types.GetSetDescriptorType)):
        return None
    if isinstance(value, (staticmethod, classmethod)):
        inner = _member(walker, cls, value.__func__, name, user)
        return inner and f"{type(value).__name__} {inner}"
    if isinstance(value, property):
        parts = (value.fget, value.fset, value.fdel)
        return f"property {[_member(walker, cls, part, name, user) for part in parts]}"
    if isinstance(value, functools.cached_property):
        return f"cached_property {_member(walker, cls, value.func, name, user)}"
    if isinstance(value, types.FunctionType):
        if _generated(walker, cls, value):
            return None
        if walker.is_home_function(value):
            return walker.code(value, f"Method {name!r}")
    return walker.token(value, name, user)


def _generated(walker: Walker, cls: type, method: types.FunctionType) -> bool:
    """Whether a method follows from the fields of a dataclass, named tuple or enum."""
    if not (dataclasses.is_dataclass(cls) or issubclass(cls, (enum.Enum, tuple))):
        return False
    inner: Any = inspect.unwrap(method)
    return not walker.is_home_function(inner) or source_of(inner) is None
