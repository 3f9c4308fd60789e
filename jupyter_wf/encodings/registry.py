"""Turns values into `Encoded` and back, by asking the kinds in order.

The kinds are those of `TYPED`, then ``pickle`` for the rest. A value of which any part has no typed
form is pickled as a whole, so that a typed kind never holds a pickle. Other packages publish kinds
of their own (`jupyter_wf.encodings.published`), which are asked before ``pickle``.
"""

from __future__ import annotations

import importlib
import sys
from functools import lru_cache
from typing import Any

from jupyter_wf.encodings import json as scalars
from jupyter_wf.encodings import pickle as pickles
from jupyter_wf.encodings import tree
from jupyter_wf.encodings.encoded import (
    Encoded,
    Kind,
    Leaf,
    Untyped,
    content_id,
    one_line,
    to_text,
)
from jupyter_wf.encodings.published import advice, published
from jupyter_wf.errors import CorruptValueError, FingerprintError, StoreError

#: The typed kinds, in the order in which they are asked, and what must have been imported for there
#: to be such a value, in which version at least: asking imports nothing.
TYPED: dict[str, dict[str, str]] = {
    "json": {},
    "tree": {},
    "array": {"numpy": "2"},
    "frame": {"pandas": "3"},
    "dataset": {"xarray": "2025.6"},
    "picture": {"PIL.Image": "10"},
    "sparse": {"scipy.sparse": "1.13", "jax.experimental.sparse": "0.6"},
}
#: Deeper values are pickled, so that no stack overflows; cycles end here as well.
MAX_DEPTH = 100


def encode(value: Any, *, pickle: bool = True, name: str = "value") -> Encoded:
    """Encode a value and compute its content id.

    Parameters
    ----------
    value : object
    pickle : bool
        Whether a value without typed form may be pickled.
    name : str
        What messages call the value.

    Raises
    ------
    FingerprintError
        With ``pickle=False``, if a part has no typed form; names its path and type.
    StoreError
        If the value can't even be pickled.

    Examples
    --------
    >>> encode({"a": [1, 2.5]}).text
    '{"dict":{"a":[1,2.5]}}'
    >>> encode(1).id == encode(True).id
    False
    """
    text = scalars.plain_text(value)
    if text is not None:
        shown = one_line(scalars.summary(value, _inner))
        return Encoded("json", text, (), len(text), shown, content_id("json", text, ()))
    writer = TreeWriter()
    try:
        text = to_text(writer.node(value))
        kind = _kind_of(value)
        assert kind is not None
    except Untyped as error:
        if not pickle:
            raise FingerprintError(
                f"{_path(name, error.path)}: {error.reason} has no stable identity. Use numbers, "
                f"text, arrays, or containers and importable dataclasses of those instead."
            ) from None
        kind = pickles.KIND
        writer = TreeWriter()
        text = to_text(pickles.node(value, writer))
    leaves = tuple(writer.leaves)
    nbytes = len(text) + sum(leaf.nbytes for leaf in leaves)
    shown = one_line(kind.summary(value, _inner))
    return Encoded(kind.name, text, leaves, nbytes, shown, content_id(kind.name, text, leaves))


def decode(encoded: Encoded) -> Any:
    """Return the value; its arrays share memory with the leaves.

    Does not verify the hash: that is the duty of whoever read the bytes from outside.

    Raises
    ------
    CorruptValueError
        If the tree is not one that `encode` writes.
    StoreError
        If a class or package that the value needs can't be imported.

    Examples
    --------
    >>> decode(encode((1, {2, 3})))
    (1, {2, 3})
    """
    try:
        node = encoded.tree
        if encoded.kind == "pickle":
            return pickles.value("pickle", node, TreeReader(encoded.leaves))
        return TreeReader(encoded.leaves).value(node)
    except ImportError as error:
        raise StoreError(
            f"A value of kind {encoded.kind!r} can't be read here: {error}. "
            f"Install what is missing."
        ) from error
    except (AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
        raise _unreadable(encoded, error) from error


def _unreadable(encoded: Encoded, error: Exception) -> StoreError:
    for module, version in (need for needs in TYPED.values() for need in needs.items()):
        if module in sys.modules and (found := _older(module, version)):
            package = module.partition(".")[0]
            return StoreError(
                f"A value of kind {encoded.kind!r} can't be read here ({error}): {package} {found} "
                f"is installed, and {version} is needed. Upgrade it."
            )
    return CorruptValueError(
        f"The value with id {encoded.id} is not well-formed ({type(error).__name__}: {error}). "
        f"Compute it again."
    )


def _path(name: str, steps: list[str]) -> str:
    return name + "".join(steps if len(steps) <= 12 else [*steps[:6], "…", *steps[-3:]])


def summarise(value: Any) -> str:
    """Describe a value in one line of plain text, at most 120 characters long."""
    kind = _kind_of(value)
    return one_line((kind or pickles.KIND).summary(value, _inner))


def _inner(value: Any) -> str:
    """Describe a part of a part, without going deeper."""
    if type(value) in tree.SIZED:
        return f"{type(value).__name__} of {len(value)}"
    kind = _kind_of(value)
    if kind is None or kind is tree.KIND:
        return pickles.type_name(value)
    return kind.summary(value, _inner)


class TreeWriter:
    """Encodes parts of a value; see `Writer`."""

    __slots__ = ("depth", "leaves")

    def __init__(self, depth: int = 0) -> None:
        self.depth = depth
        self.leaves: list[Leaf] = []

    def node(self, value: Any) -> Any:
        """Encode a part; raise `Untyped` if it has no typed form."""
        kind = _kind_of(value)
        if kind is None:
            raise Untyped(f"a {pickles.type_name(value)}")
        if self.depth >= MAX_DEPTH:
            raise Untyped(f"something nested more than {MAX_DEPTH} deep, or within itself,")
        self.depth += 1
        try:
            return kind.node(value, self)
        finally:
            self.depth -= 1

    def leaf(self, array: Leaf) -> int:
        """Hang an array from the tree and return its position."""
        self.leaves.append(array)
        return len(self.leaves) - 1


class TreeReader:
    """Decodes parts of a value; see `Reader`."""

    __slots__ = ("leaves",)

    def __init__(self, leaves: tuple[Leaf, ...]) -> None:
        self.leaves = leaves

    def value(self, node: Any) -> Any:
        """Decode a part; a pickle is not one."""
        cls = type(node)
        if cls is list:
            return [self.value(part) for part in node]
        if cls is not dict:
            return node
        tag = next(iter(node), "")
        kind = kind_by_tag(tag)
        if kind is None:
            raise CorruptValueError(
                f"A stored value uses the form {tag!r}, which this version of jupyter_wf doesn't "
                f"know. {advice(tag)}, or compute the value again."
            )
        return kind.value(tag, node, self)


def _typed(name: str) -> Kind:
    """Load a kind; all but the first two import NumPy."""
    kind: Kind = importlib.import_module(f"jupyter_wf.encodings.{name}").KIND
    return kind


def _usable(need: tuple[str, str]) -> bool:
    """Whether a module was imported, and is not of an older version than its kind knows."""
    return need[0] in sys.modules and not _older(*need)


def _older(module: str, version: str) -> str:
    """Return the version of an imported module's package if it is older than `version`."""
    from packaging.version import Version

    found = str(sys.modules[module.partition(".")[0]].__version__)
    return found if Version(found) < Version(version) else ""


def _kind_of(value: Any) -> Kind | None:
    cls: Any = type(value)
    return _kind_of_type(cls)


@lru_cache(maxsize=1024)
def _kind_of_type(cls: Any) -> Kind | None:
    """Return the typed kind of a type, importing NumPy only if its user already did."""
    names = (name for name, needs in TYPED.items() if not needs or any(map(_usable, needs.items())))
    found = next((kind for kind in map(_typed, names) if kind.recognises(cls)), None)
    if found is None:
        other = published(cls.__module__.partition(".")[0])
        found = other if other is not None and other.recognises(cls) else None
    return found


@lru_cache(maxsize=64)
def kind_by_tag(tag: str) -> Kind | None:
    """Return the kind that writes objects with this first key, if there is one."""
    package, colon, _ = tag.partition(":")
    kinds = (published(package),) if colon else map(_typed, TYPED)
    return next((kind for kind in kinds if kind is not None and tag in kind.tags), None)
