"""Stores: where values and the records of what made them are kept."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from jupyter_wf.engine.abc import Store
from jupyter_wf.errors import StoreError


def open_store(url_or_path: str | os.PathLike[str]) -> Store:
    """Open a store; a directory is made when something is first written.

    Parameters
    ----------
    url_or_path : str or path
        A directory, its ``file://`` URL, or ``memory://``.

    Raises
    ------
    StoreError
        If it is something else than a store, or can't be read.

    Examples
    --------
    >>> open_store("memory://").shared
    False
    """
    text = os.fspath(url_or_path)
    if text.startswith("memory://"):
        from jupyter_wf.engine.store.memory import MemoryStore

        return MemoryStore()
    if text.startswith("file://"):
        parts = urlsplit(text)
        if parts.netloc not in {"", "localhost"}:
            raise StoreError(f"{text!r} names another machine. Use file:///absolute/path.")
        text = unquote(parts.path)
    elif "://" in text:
        raise StoreError(f"Can't open {text!r}: use a directory, a file:// URL, or memory://.")
    if not text:
        raise StoreError("A store needs the path of a directory, such as '.jupyter_wf'.")
    from jupyter_wf.engine.store.zarr import LocalZarrStore

    return LocalZarrStore(Path(text))


__all__ = ["open_store"]
