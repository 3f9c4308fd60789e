"""How a value looks as Zarr arrays and groups: which leaf is where, with which attributes.

A kind that follows a published layout, such as AnnData's, says so by its `Kind.outline`. Whatever
else hangs from a tree is an array of the root, named after its place in the value (``params.w``).
Names are those of files somewhere: safe ones, and different also where cases are not told apart.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from jupyter_wf.encodings.encoded import Array, Encoded, Group, Part
from jupyter_wf.encodings.registry import kind_by_tag

_LEAF_TAGS = frozenset({"array", "scalar", "bytes", "pickle"})
#: What the root of a value may hold beside its parts.
RESERVED = "tree"
_MAX_NAME = 80


def outline(encoded: Encoded) -> dict[str, Part]:
    """Return what a value consists of by path, each group before what is in it.

    The value itself, where it is a group of a published layout, has path ``""``. Every leaf is
    there once.

    Examples
    --------
    >>> import numpy as np
    >>> from jupyter_wf.encodings import encode
    >>> list(outline(encode({"X": np.zeros(2), "p": {"w": np.ones(3)}})))
    ['X', 'p.w']
    """
    found: dict[str, Part] = {}
    names = Names(RESERVED)
    for path, part in _parts(encoded):
        _place(found, names.safe(path) if path else "", part)
    names = Names(RESERVED, *found)
    placed = {part.leaf for part in found.values() if isinstance(part, Array)}
    for leaf in range(len(encoded.leaves)):
        if leaf not in placed:
            found[names.safe(f"leaf.{leaf}")] = Array(leaf)
    return found


def _parts(encoded: Encoded) -> list[tuple[str, Part]]:
    """Find the outermost parts that have a place of their own, with their paths in the value."""
    parts: list[tuple[str, Part]] = []
    todo: list[tuple[Any, str]] = [(encoded.tree, "")]
    while todo:
        node, path = todo.pop()
        within: list[tuple[Any, str]] = []
        if isinstance(node, list):
            within = [(part, f"{path}.{i}") for i, part in enumerate(node)]
        elif isinstance(node, dict):
            tag, body = next(iter(node.items()))
            kind = kind_by_tag(tag)
            if tag in _LEAF_TAGS:
                if isinstance(body, int):
                    parts.append((path or tag, Array(body)))
            elif kind is not None and kind.outline is not None:
                part = kind.outline(node, encoded.leaves)
                parts.append((path if isinstance(part, Group) else path or tag, part))
            elif tag == "dict" or "fields" in node:
                named = body if tag == "dict" else node["fields"]
                within = [(part, f"{path}.{key}") for key, part in named.items()]
            else:
                within = [(body, path)]
        todo.extend(reversed(within))
    return parts


def _place(found: dict[str, Part], path: str, part: Part) -> None:
    found[path] = part
    if isinstance(part, Group):
        for name, inner in part.parts.items():
            _place(found, f"{path}/{name}" if path else name, inner)


class Names:
    """Gives names that are safe in a Zarr group, each once.

    Parameters
    ----------
    *taken : str
        Names that are not to be given.
    """

    def __init__(self, *taken: str) -> None:
        self._taken = set(map(_known, taken))

    def safe(self, path: str) -> str:
        """Make a name of a place in a value, of a few plain characters."""
        name = re.sub(r"[^A-Za-z0-9_.-]+", "_", path).strip(".-")[:_MAX_NAME] or "leaf"
        return self._give(name, f"leaf-{name}")

    def kept(self, label: Any) -> str | None:
        """Return a label as it is if it is a name that is safe and free, else None."""
        safe = (
            isinstance(label, str)
            and label.isprintable()
            and 0 < len(label.encode()) <= _MAX_NAME
            and not re.search(r'[/\\:*?"<>|]', label)
            and label == label.strip(". ")
        )
        free = safe and _known(label) not in self._taken and not label.startswith(("zarr", "__"))
        return self._give(label, label) if free else None

    def _give(self, name: str, otherwise: str) -> str:
        given, count = name, len(self._taken)
        while _known(given) in self._taken or given.startswith(("zarr", "__")):
            given, count = f"{otherwise}.{count}", count + 1
        self._taken.add(_known(given))
        return given


def _known(name: str) -> str:
    """Return what names have in common that a file system may take for one."""
    return unicodedata.normalize("NFC", name).casefold()
