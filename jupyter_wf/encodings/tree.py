"""Kind ``tree``: lists, tuples, dicts, sets, named tuples, dataclasses and enums of typed values.

The order of a dict is part of its value, as iteration shows it: two dicts that differ only in
order have different content ids, so nobody ever gets another order than was computed. The order
of a set is not. Where one object is reached twice, two equal objects come back.

Classes are kept by reference (``module:name``), never by value: only those that can be imported
again have a typed form. Decoding imports that module, checks that the name is such a class with
the very fields that were written, and sets the fields without calling the class's code. Opening,
listing or looking up imports nothing.
"""

from __future__ import annotations

import dataclasses
import enum
import importlib
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from jupyter_wf.encodings.encoded import (
    MAX_SUMMARY,
    Kind,
    Reader,
    Untyped,
    Writer,
    content_id,
    one_line,
    to_text,
)
from jupyter_wf.encodings.json import is_plain
from jupyter_wf.errors import CorruptValueError, StoreError

SIZED: frozenset[type] = frozenset({list, tuple, dict, set, frozenset})


def recognises(cls: type) -> bool:
    """Whether instances of `cls` are containers that this kind may know."""
    return (
        cls in SIZED
        or (issubclass(cls, tuple) and hasattr(cls, "_fields"))
        or dataclasses.is_dataclass(cls)
        or issubclass(cls, enum.Enum)
    )


# -- writing --------------------------------------------------------------------------------------


def node(value: Any, writer: Writer) -> Any:
    """Encode a container and what it contains."""
    cls: Any = type(value)
    if cls is list:
        return _nodes(value, writer)
    if cls is tuple:
        return {"tuple": _nodes(value, writer)}
    if cls is dict:
        if all(type(key) is str for key in value):
            return {"dict": _named(value.items(), _subscript, writer)}
        items = [[_at(".keys()", key, writer), _item(key, v, writer)] for key, v in value.items()]
        return {"items": items}
    if cls is set or cls is frozenset:
        return {cls.__name__: _members(value, writer)}
    if issubclass(cls, enum.Enum):
        return {"enum": _reference(cls), "name": _member(cls, value)}
    if issubclass(cls, tuple):
        reference, fields = "named", dict(zip(cls._fields, value, strict=True))
    else:
        _check_dataclass(cls, value)
        names = [field.name for field in dataclasses.fields(cls)]
        reference, fields = "dataclass", {name: getattr(value, name) for name in names}
    return {reference: _reference(cls), "fields": _named(fields.items(), _attribute, writer)}


def _at(step: str, value: Any, writer: Writer) -> Any:
    try:
        return writer.node(value)
    except Untyped as error:
        error.path.insert(0, step)
        raise


def _item(key: Any, value: Any, writer: Writer) -> Any:
    return _at(_subscript(key) if is_plain(key) else "[…]", value, writer)


def _subscript(key: Any) -> str:
    return f"[{to_text(key)}]"


def _attribute(name: str) -> str:
    return f".{name}"


def _nodes(values: Iterable[Any], writer: Writer) -> list[Any]:
    return [
        v if is_plain(v) else _at(f"[{position}]", v, writer) for position, v in enumerate(values)
    ]


def _named(
    items: Iterable[tuple[str, Any]], step: Callable[[str], str], writer: Writer
) -> dict[str, Any]:
    return {k: v if is_plain(v) else _at(step(k), v, writer) for k, v in items}


def _members(values: Iterable[Any], writer: Writer) -> list[Any]:
    """Encode members in the order of their own content, which no hash seed can change."""
    from jupyter_wf.encodings.registry import TreeWriter

    def rank(value: Any) -> str:
        alone = TreeWriter(depth=getattr(writer, "depth", 0))
        text = to_text(_at(".pop()", value, alone))
        return text if not alone.leaves else content_id("member", text, tuple(alone.leaves))

    return [writer.node(v) for _, v in sorted(((rank(v), v) for v in values), key=lambda p: p[0])]


def _member(cls: type[enum.Enum], value: enum.Enum) -> str:
    if cls.__members__.get(value.name or "") is not value:
        raise Untyped("a combination of flags has no typed form")
    return str(value.name)


def _reference(cls: type) -> str:
    module, name = cls.__module__, cls.__qualname__
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    if module == "__main__" or found is not cls:
        raise Untyped(f"a {module}.{name}, whose class can't be imported by that name,")
    return f"{module}:{name}"


def _check_dataclass(cls: Any, value: Any) -> None:
    """Raise `Untyped` unless the fields are all there is to the value."""
    names = {field.name for field in dataclasses.fields(cls)}
    state = getattr(cls, "__getstate__", None)
    usual = state is getattr(object, "__getstate__", None) or (
        getattr(state, "__module__", "") == "dataclasses"
    )
    if (
        not usual
        or cls.__reduce_ex__ is not object.__reduce_ex__
        or cls.__reduce__ is not object.__reduce__
        or cls.__new__ is not object.__new__
        or not names.issuperset(getattr(value, "__dict__", ()))
        or not all(hasattr(value, name) for name in names)
    ):
        raise Untyped(f"a {cls.__module__}.{cls.__qualname__}, which holds more than its fields,")


# -- reading --------------------------------------------------------------------------------------


def value(tag: str, node: dict[str, Any], reader: Reader) -> Any:
    """Decode a container and what it contains."""
    body = node[tag]
    if tag == "dict":
        return {key: reader.value(part) for key, part in body.items()}
    if tag == "items":
        return {reader.value(key): reader.value(part) for key, part in body}
    if tag == "tuple":
        return tuple(reader.value(part) for part in body)
    if tag == "set":
        return {reader.value(part) for part in body}
    if tag == "frozenset":
        return frozenset(reader.value(part) for part in body)
    cls = _class(body)
    if tag == "enum":
        return _enum(cls, body, node["name"])
    fields = {name: reader.value(part) for name, part in node["fields"].items()}
    if tag == "named":
        if not issubclass(cls, tuple) or getattr(cls, "_fields", None) != tuple(fields):
            raise _changed(body, fields)
        return tuple.__new__(cls, fields.values())
    if not dataclasses.is_dataclass(cls) or {f.name for f in dataclasses.fields(cls)} != set(
        fields
    ):
        raise _changed(body, fields)
    made: Any = object.__new__(cls)
    for name, part in fields.items():
        object.__setattr__(made, name, part)
    return made


def _enum(cls: type, reference: str, name: str) -> Any:
    if not issubclass(cls, enum.Enum) or name not in cls.__members__:
        raise StoreError(f"{reference} is no enum with a member {name!r} any more.")
    return cls.__members__[name]


def _class(reference: str) -> type:
    module, _, name = reference.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise StoreError(
            f"The value needs class {reference!r}, which can't be imported here ({error}). "
            f"Install what defines it, or compute the value again."
        ) from error
    if not isinstance(found, type):
        raise CorruptValueError(f"{reference!r} is not a class.")
    return found


def _changed(reference: str, fields: Iterable[str]) -> StoreError:
    return StoreError(
        f"Class {reference!r} no longer has exactly the fields {', '.join(fields)}, with which "
        f"the value was stored. Compute the value again."
    )


# -- for people -----------------------------------------------------------------------------------


def summary(value: Any, part: Callable[[Any], str]) -> str:
    """Describe a container: ``dict of 3: X float64 (2, 2), …``."""
    cls: Any = type(value)
    if issubclass(cls, enum.Enum):
        return f"{cls.__name__}.{value.name}"
    head = f"{cls.__name__} of {len(value)}" if cls in SIZED else str(cls.__name__)
    if cls in {set, frozenset}:
        return head
    shown: list[str] = []
    for name, item in _items(value):
        shown.append(f"{name} {one_line(part(item), 60)}".strip())
        if sum(map(len, shown)) > MAX_SUMMARY:
            break
    return f"{head}: {', '.join(shown)}" if shown else head


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    cls: Any = type(value)
    if cls is dict:
        names = (one_line(k, 30) if type(k) is str else f"{_plain_or_type(k)}:" for k in value)
        return zip(names, value.values(), strict=True)
    if cls in SIZED:
        return (("", item) for item in value)
    names = cls._fields if issubclass(cls, tuple) else (f.name for f in dataclasses.fields(cls))
    return ((name, getattr(value, name, None)) for name in names)


def _plain_or_type(key: Any) -> str:
    return one_line(to_text(key), 30) if is_plain(key) else type(key).__name__


KIND = Kind(
    "tree",
    ("tuple", "dict", "items", "set", "frozenset", "enum", "named", "dataclass"),
    recognises,
    node,
    value,
    summary,
)
