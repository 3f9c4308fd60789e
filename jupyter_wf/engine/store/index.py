"""What a store remembers of executions, in memory: found by key, by recipe and by name.

Records are kept as the rows that the journal holds, and made into a `Record` when first asked for:
opening a store of 100,000 records must not build them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from jupyter_wf.records import Record, Stored

KEY, RECIPE, NAME, PARTS, OUTPUTS, TIME = 0, 1, 2, 3, 5, 10
_WIDTH = 11


def to_row(record: Record, parts: Any) -> list[Any]:
    """Flatten a record; `parts` stands for its parts, which many records share."""
    outputs = [[name, s.id, s.kind, s.nbytes, s.summary] for name, s in record.outputs]
    return [
        record.key,
        record.recipe,
        record.name,
        parts,
        record.inputs,
        outputs,
        record.run,
        record.host,
        record.worker,
        record.seconds,
        record.time,
    ]


def from_row(row: list[Any]) -> Record:
    """Undo `to_row`, for a row whose parts were put back."""
    key, recipe, name, parts, inputs, outputs, run, host, worker, seconds, time = row
    return Record(
        key,
        recipe,
        name,
        tuple((label, digest) for label, digest in parts),
        tuple((slot, data, content) for slot, data, content in inputs),
        tuple((output, Stored(*stored)) for output, *stored in outputs),
        run,
        host,
        worker,
        seconds,
        time,
    )


def is_row(row: Any) -> bool:
    """Whether this has the shape of a row, so that a damaged or foreign one is passed over."""
    return (
        isinstance(row, list)
        and len(row) == _WIDTH
        and isinstance(row[KEY], str)
        and isinstance(row[RECIPE], str)
        and isinstance(row[NAME], str)
        and isinstance(row[OUTPUTS], list)
        and isinstance(row[TIME], float)
    )


class Index:
    """The rows of a store by key, recipe and name; of several, the newest."""

    def __init__(self) -> None:
        self._rows: list[list[Any]] = []
        self._by_key: dict[str, list[Any]] = {}
        self._by_recipe: dict[str, list[Any]] = {}
        self._by_name: dict[str, list[Any]] = {}
        self._built: dict[int, Record] = {}

    def add(self, row: list[Any]) -> None:
        """Take in a row."""
        self._rows.append(row)
        time = row[TIME]
        for place, field in (
            (self._by_key, KEY),
            (self._by_recipe, RECIPE),
            (self._by_name, NAME),
        ):
            old = place.setdefault(row[field], row)
            if old is not row and old[TIME] <= time:
                place[row[field]] = row

    def by_key(self, key: str, present: Callable[[str], bool]) -> Record | None:
        """Return the newest record of a key if all its values are `present`."""
        return self._checked(self._by_key.get(key), present)

    def by_recipe(self, recipe: str, present: Callable[[str], bool]) -> Record | None:
        """Return the newest record of a recipe if all its values are `present`."""
        return self._checked(self._by_recipe.get(recipe), present)

    def last(self, name: str) -> Record | None:
        """Return the newest record of a task's name, whether its values are here or not."""
        row = self._by_name.get(name)
        return None if row is None else self._record(row)

    def records(self) -> Iterable[Record]:
        """Return all records, oldest first."""
        return [self._record(row) for row in sorted(self._rows, key=lambda row: row[TIME])]

    def _checked(self, row: list[Any] | None, present: Callable[[str], bool]) -> Record | None:
        if row is None:
            return None
        for output in row[OUTPUTS]:
            if not present(output[1]):
                return None
        return self._record(row)

    def _record(self, row: list[Any]) -> Record:
        found = self._built.get(id(row))
        if found is None:
            found = self._built[id(row)] = from_row(row)
        return found
