"""Kinds that other packages publish, as entry points of the group ``jupyter_wf.encodings``.

Each is named after the package of its types, so that it is loaded only for values of that package,
and starts its tags with that name and a colon, so that the package of a stored value is known.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from jupyter_wf.encodings.encoded import Kind
from jupyter_wf.errors import StoreError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

GROUP = "jupyter_wf.encodings"


@lru_cache(maxsize=256)
def published(package: str) -> Kind | None:
    """Load the kind that is published for the types of a package, if there is one."""
    entry = next(iter(_entry_points().select(name=package)), None)
    if entry is None:
        return None
    try:
        kind = entry.load()
    except Exception as error:
        raise StoreError(
            f"The encoding {package!r} ({entry.value}) can't be loaded: "
            f"{type(error).__name__}: {error}. Mend or remove what published it."
        ) from error
    if (
        not isinstance(kind, Kind)
        or kind.name != package
        or not all(tag.startswith(f"{package}:") for tag in kind.tags)
    ):
        raise StoreError(
            f"The encoding {package!r} ({entry.value}) is not a Kind of that name whose tags start "
            f"with '{package}:'. Mend or remove what published it."
        )
    return kind


@lru_cache(maxsize=1)
def _entry_points() -> EntryPoints:
    from importlib.metadata import entry_points

    return entry_points(group=GROUP)


def advice(tag: str) -> str:
    """Say what to do about a form that no kind knows."""
    package, colon, _ = tag.partition(":")
    return f"Install what encodes the types of {package!r}" if colon else "Upgrade it"
