"""What a store remembers of executions, in memory: found by key, by recipe and by name.

A row is (key, recipe, name, time, number of parts, rest); the rest stays packed until the record is
first asked for. So opening a store of 100,000 records neither builds them nor gives the garbage
collector their parts to walk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from jupyter_wf.engine.journal import pack, unpack
from jupyter_wf.records import Record, Stored

Parts: TypeAlias = tuple[tuple[str, str], ...]
Row: TypeAlias = tuple[str, str, str, float, int, bytes]


def to_row(record: Record, parts: int) -> Row:
    """Flatten a record; `parts` is the number of its parts, which many records share."""
    outputs = [(name, s.id, s.kind, s.nbytes, s.summary) for name, s in record.outputs]
    rest = (record.inputs, outputs, record.run, record.host, record.worker, record.seconds)
    return (record.key, record.recipe, record.name, float(record.time), parts, pack(rest))


def is_row(row: Any) -> bool:
    """Whether this has the shape of a row, so that a foreign one is passed over."""
    kinds = (str, str, str, float, int, bytes)
    return len(row) == len(kinds) and all(map(isinstance, row, kinds))


class Index:
    """The rows of a store by key, recipe and name; of several, the newest."""

    def __init__(self) -> None:
        self._parts: list[Parts] = []
        self._rows: list[Row] = []
        self._by_key: dict[str, Row] = {}
        self._by_recipe: dict[str, Row] = {}
        self._by_name: dict[str, Row] = {}
        self._built: dict[int, Record] = {}

    def add_parts(self, parts: Parts) -> int:
        """Take in what the fingerprints of some records were made of; return its number."""
        self._parts.append(parts)
        return len(self._parts) - 1

    def add(self, row: Row) -> None:
        """Take in a row whose parts were added."""
        self._rows.append(row)
        key, recipe, name, time, _, _ = row
        if self._by_key.setdefault(key, row)[3] <= time:
            self._by_key[key] = row
        if self._by_recipe.setdefault(recipe, row)[3] <= time:
            self._by_recipe[recipe] = row
        if self._by_name.setdefault(name, row)[3] <= time:
            self._by_name[name] = row

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
        return [self._record(row) for row in sorted(self._rows, key=lambda row: row[3])]

    def _checked(self, row: Row | None, present: Callable[[str], bool]) -> Record | None:
        if row is None:
            return None
        record = self._record(row)
        for _, stored in record.outputs:
            if not present(stored.id):
                return None
        return record

    def _record(self, row: Row) -> Record:
        found = self._built.get(id(row))
        if found is None:
            key, recipe, name, time, parts, rest = row
            inputs, outputs, run, host, worker, seconds = unpack(rest)
            found = self._built[id(row)] = Record(
                key,
                recipe,
                name,
                self._parts[parts],
                inputs,
                tuple([(o, Stored(c, k, n, s)) for o, c, k, n, s in outputs]),
                run,
                host,
                worker,
                seconds,
                time,
            )
        return found
