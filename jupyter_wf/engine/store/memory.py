"""The reference store: values and records in the memory of this process."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from jupyter_wf.encodings import Encoded, encode
from jupyter_wf.engine.abc import Store
from jupyter_wf.engine.store.batch import check_id, encoded_values, missing_value, unknown
from jupyter_wf.engine.store.index import Index, to_row
from jupyter_wf.errors import MissingValueError
from jupyter_wf.records import Growth, Item, Record, Stored


class MemoryStore(Store):
    """Keeps values as long as this object lives.

    Examples
    --------
    >>> store = MemoryStore()
    >>> store.get(store.put([1, 2]).id)
    [1, 2]
    """

    url = "memory://"
    shared = False

    def __init__(self) -> None:
        self._values: dict[str, Encoded] = {}
        self._index = Index()
        self._growths: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def refresh(self) -> None:
        """Nobody else writes here."""

    def find(self, key: str) -> Record | None:
        """See `Store.find`."""
        return self._index.by_key(key, self._values.__contains__)

    def find_recipe(self, recipe: str) -> Record | None:
        """See `Store.find_recipe`."""
        return self._index.by_recipe(recipe, self._values.__contains__)

    def last(self, name: str) -> Record | None:
        """See `Store.last`."""
        return self._index.last(name)

    def records(self) -> Iterable[Record]:
        """See `Store.records`."""
        return self._index.records()

    def stored(self, content: str) -> Stored | None:
        """See `Store.stored`."""
        encoded = self._values.get(check_id(content))
        return None if encoded is None else encoded.stored

    def encoded(self, content: str) -> Encoded:
        """See `Store.encoded`; every call returns a new value."""
        return _copied(self._held(content))

    def put(self, value: Any) -> Stored:
        """See `Store.put`."""
        encoded = encode(value)
        self._values.setdefault(encoded.id, _copied(encoded))
        return encoded.stored

    def commit(self, batch: Sequence[tuple[Item, Mapping[str, Any]]], owner: str = "") -> None:  # noqa: ARG002
        """See `Store.commit`; there is one owner."""
        given = [encoded_values(record, values) for record, values in batch]
        with self._lock:
            new = {content: encoded for values in given for content, encoded in values.items()}
            records = [record for record, _ in batch if isinstance(record, Record)]
            for record in records:
                for output, stored in record.outputs:
                    if stored.id not in new and stored.id not in self._values:
                        raise missing_value(record, output)
            for content, encoded in new.items():
                self._values.setdefault(content, _copied(encoded))
            for item, _ in batch:
                if isinstance(item, Growth):
                    self._growths[item.key] = item.packed
            for record in unknown(records, self.find):
                self._growths.pop(record.key, None)
                self._index.add(to_row(record, self._index.add_parts(record.parts)))

    def growth(self, key: str) -> bytes | None:
        """See `Store.growth`."""
        return self._growths.get(key)

    def zarr(self, content: str) -> Any:
        """See `Store.zarr`."""
        from jupyter_wf.engine.store.layout import in_memory

        return in_memory(self._held(content))

    def close(self) -> None:
        """There is nothing to let go of."""

    def _held(self, content: str) -> Encoded:
        encoded = self._values.get(check_id(content))
        if encoded is None:
            raise MissingValueError(f"The store in memory does not hold the value {content}.")
        return encoded


def _copied(encoded: Encoded) -> Encoded:
    """Copy the leaves, which may share memory with what others hold."""
    return replace(encoded, leaves=tuple(leaf.copy() for leaf in encoded.leaves))
