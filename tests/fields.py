"""Any values of a description, made from the types of its fields: a new field is among them."""

from __future__ import annotations

from dataclasses import fields
from math import isfinite
from typing import Any, get_type_hints

from hypothesis import strategies as st


def any_of(cls: type[Any]) -> st.SearchStrategy[Any]:
    """Return a strategy for a dataclass; its numbers are finite, so that they equal themselves."""
    hints = get_type_hints(cls)
    return st.builds(
        cls, **{f.name: st.from_type(hints[f.name]).filter(_finite) for f in fields(cls)}
    )


def names_of(cls: type[Any]) -> set[str]:
    """Return the names of a dataclass's fields."""
    return {field.name for field in fields(cls)}


def _finite(value: object) -> bool:
    return not isinstance(value, float) or isfinite(value)
