"""An encoded value, its content id, and what every kind of encoding promises."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from blake3 import blake3

from jupyter_wf.records import Stored

if TYPE_CHECKING:
    import numpy as np

Leaf: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"

#: From this size on, hashing uses every core.
MANY_THREADS = 1_000_000
MAX_SUMMARY = 120

#: Canonical JSON text: no spaces, ASCII only, so no line break is ever part of it.
to_text = json.JSONEncoder(separators=(",", ":"), check_circular=False, allow_nan=False).encode


@dataclass(frozen=True, slots=True)
class Encoded:
    """A value as a tree of JSON and the arrays that hang from it.

    Arrays are not copied, so a leaf may share memory with the value that was encoded: write it
    before the value changes.

    Parameters
    ----------
    kind : str
        How it is encoded; ``"pickle"`` is the only kind that runs code when decoded.
    text : str
        The tree as canonical JSON.
    leaves : tuple of numpy.ndarray
        Little-endian, C-contiguous, referred to from the tree by their position.
    nbytes : int
        Size of text and leaves.
    summary : str
        One line of plain text for people; hostile until escaped.
    id : str
        Content id: 40 hex digits.
    """

    kind: str
    text: str
    leaves: tuple[Leaf, ...]
    nbytes: int
    summary: str
    id: str

    @property
    def tree(self) -> Any:
        """The tree as Python lists, dicts, strings and numbers, made anew."""
        return json.loads(self.text)

    @property
    def stored(self) -> Stored:
        """What is remembered of the value without its bytes."""
        return Stored(self.id, self.kind, self.nbytes, self.summary)


class Untyped(Exception):  # noqa: N818 - a signal between encoders, never shown to users
    """A value, or a part of it, has no typed form; `path` says where, `reason` why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path: list[str] = []


class Writer(Protocol):
    """Given to `Kind.node` to encode the parts of a value."""

    def node(self, value: Any) -> Any:
        """Encode a part."""

    def leaf(self, array: Leaf) -> int:
        """Hang an array from the tree and return its position."""


class Reader(Protocol):
    """Given to `Kind.value` to decode the parts of a value."""

    leaves: tuple[Leaf, ...]

    def value(self, node: Any) -> Any:
        """Decode a part."""


@dataclass(frozen=True, slots=True)
class Array:
    """An array on disk.

    Parameters
    ----------
    leaf : int or range
        Position of the leaf that it holds; or numbers that are here for other readers only.
    attributes : mapping of str to JSON
    texts : bool
        Whether the leaf is one of `jupyter_wf.encodings.texts`.
    shape : tuple of int, optional
        Of texts, if they are not in one row.
    dimensions : tuple of str, optional
        Names of the axes.
    """

    leaf: int | range
    attributes: Mapping[str, Any] = field(default_factory=dict)
    texts: bool = False
    shape: tuple[int, ...] | None = None
    dimensions: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """A group on disk: its attributes, and what is in it by (safe) name."""

    attributes: Mapping[str, Any]
    parts: Mapping[str, Part]


Part: TypeAlias = Array | Group


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to encode values.

    Parameters
    ----------
    name : str
    tags : tuple of str
        First key of each JSON object that it writes; no other kind may use them.
    recognises : callable
        Takes a type; asked once per type, in the order of the registry.
    node : callable
        Takes (value, `Writer`), returns JSON; raises `Untyped` if this very value has no form.
    value : callable
        Takes (tag, JSON object, `Reader`), returns the value.
    summary : callable
        Takes (value, summarise a part); returns text, and never calls the ``repr`` of a class
        that it doesn't know.
    outline : callable, optional
        Takes (JSON object, all leaves), returns how it looks as Zarr; without it, arrays are named
        after their place in the value.
    """

    name: str
    tags: tuple[str, ...]
    recognises: Callable[[type], bool]
    node: Callable[[Any, Writer], Any]
    value: Callable[[str, dict[str, Any], Reader], Any]
    summary: Callable[[Any, Callable[[Any], str]], str]
    outline: Callable[[dict[str, Any], tuple[Leaf, ...]], Part] | None = None


def content_id(kind: str, text: str, leaves: tuple[Leaf, ...]) -> str:
    """Hash a value: its kind, canonical tree, and each leaf's dtype, shape and C-order bytes.

    Examples
    --------
    >>> content_id("json", "1", ()) == content_id("json", "1.0", ())
    False
    """
    head = f"{kind}\n{text}\n".encode("ascii")
    if not leaves:
        return blake3(head).hexdigest(length=20)
    from jupyter_wf.encodings.array import dtype_text, raw_bytes

    many = sum(leaf.nbytes for leaf in leaves) > MANY_THREADS
    digest = blake3(head, max_threads=blake3.AUTO if many else 1)
    for leaf in leaves:
        digest.update(f"{dtype_text(leaf.dtype)}\n{list(leaf.shape)}\n".encode())
        digest.update(raw_bytes(leaf))
    return digest.hexdigest(length=20)


def one_line(text: str, room: int = MAX_SUMMARY) -> str:
    """Make text printable, on one line, and at most `room` characters long."""
    text = text[: room + 1]
    if not text.isprintable():
        text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return text if len(text) <= room else text[: room - 1] + "…"
