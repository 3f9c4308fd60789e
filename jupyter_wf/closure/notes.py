"""What a walk has found so far: the parts of a fingerprint, and what was looked at for them."""

from __future__ import annotations

from collections.abc import Mapping
from types import CellType, CodeType, FunctionType

MISSING = object()


class Notes:
    """Parts, and what was read to tell them.

    Attributes
    ----------
    parts : dict of str to str
        Description to digest.
    captures : list of (str, str, object)
        (who uses it, name, value) of each thing met, to name culprits by.
    reads, cells, bodies
        Names, captured variables and functions that were looked at, with what they were.
    """

    def __init__(self) -> None:
        self.parts: dict[str, str] = {}
        self.captures: list[tuple[str, str, object]] = []
        self.reads: list[tuple[Mapping[str, object], str, object]] = []
        self.cells: list[tuple[CellType, object]] = []
        self.bodies: list[tuple[FunctionType, CodeType, object, object]] = []
        self._labels: dict[int, tuple[str, object]] = {}

    def same_objects(self) -> bool:
        """Whether every name and function that was looked at is still the same object."""
        return (
            all(space.get(name, MISSING) is value for space, name, value in self.reads)
            and all(content_of(cell) is value for cell, value in self.cells)
            and all(
                f.__code__ is code and f.__defaults__ is plain and f.__kwdefaults__ is keyed
                for f, code, plain, keyed in self.bodies
            )
        )

    def add(self, label: str, value: str) -> str:
        """Add a part; a label that stands for something else already gets a number."""
        chosen, count = label, 1
        while self.parts.get(chosen, value) != value:
            count += 1
            chosen = f"{label} #{count}"
        self.parts[chosen] = value
        return chosen

    def reserve(self, value: object, label: str) -> str:
        """Choose the label of a definition before it is walked, so that recursion ends."""
        chosen, count = label, 1
        while chosen in self.parts:
            count += 1
            chosen = f"{label} #{count}"
        self.parts[chosen] = ""
        self._labels[id(value)] = (chosen, value)
        return chosen

    def label_of(self, value: object) -> str | None:
        """Label of a definition that was met before."""
        found = self._labels.get(id(value))
        return found and found[0]


def content_of(cell: CellType) -> object:
    """Value of a captured variable, or `MISSING`."""
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING
