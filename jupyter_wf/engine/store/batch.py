"""Checks what every store is given: ids that are ids, values that are what they were hashed as."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from jupyter_wf.encodings import Encoded, content_id, encode
from jupyter_wf.errors import StoreError
from jupyter_wf.records import Item, Record

_ID = re.compile(r"[0-9a-f]{40}")


def check_id(content: str) -> str:
    """Return a content id; raise `StoreError` for anything else, such as a path."""
    if not isinstance(content, str) or _ID.fullmatch(content) is None:
        raise StoreError(f"{str(content)[:60]!r} is not a content id: 40 hex digits are needed.")
    return content


def encoded_values(record: Item, values: Mapping[str, Any]) -> dict[str, Encoded]:
    """Return the values of a record by content id, each verified against its id.

    Parameters
    ----------
    record : Record, Growth or None
        None for values that no record speaks of yet, such as those given to children.
    values : mapping of content id to value, or to its `Encoded`
        A value without typed form should come as the very `Encoded` that gave its id, as it may
        not pickle to the same bytes twice.

    Raises
    ------
    StoreError
        If a value doesn't have its id, which means that it was changed after it was hashed.
    """
    found: dict[str, Encoded] = {}
    for _, stored in record.outputs if isinstance(record, Record) else ():
        check_id(stored.id)
    for content, value in values.items():
        check_id(content)
        if isinstance(value, Encoded):
            encoded, actual = value, content_id(value.kind, value.text, value.leaves)
        else:
            encoded = encode(value)
            actual = encoded.id
        if actual != content:
            raise StoreError(
                f"{_called(record, content)} changed after it was hashed, so it can't be stored. "
                f"A task must not modify data that it returned, read or passed on: copy it."
            )
        found[content] = encoded
    return found


def unknown(records: Iterable[Record], find: Callable[[str], Record | None]) -> list[Record]:
    """Leave out records of what is known already: another process, or a lost worker, was first.

    A record with other values than the known one of its key stays: its values were asked for anew,
    or its task gives others each time.

    Parameters
    ----------
    records : iterable of Record
    find : callable
        From a key to the record by which it is known.
    """
    new: list[Record] = []
    latest: dict[str, Record] = {}
    for record in records:
        known = latest.get(record.key) or find(record.key)
        if known is None or known.outputs != record.outputs:
            latest[record.key] = record
            new.append(record)
    return new


def _called(record: Item, content: str) -> str:
    for output, stored in record.outputs if isinstance(record, Record) else ():
        if isinstance(record, Record) and stored.id == content:
            return f"Output {output!r} of task {record.name!r}"
    return f"The value {content[:12]}"


def missing_value(record: Record, output: str) -> StoreError:
    """Say that a record was committed without one of its values."""
    return StoreError(
        f"Output {output!r} of task {record.name!r} is neither in the store nor given with its "
        f"record. Commit the value together with the record."
    )
