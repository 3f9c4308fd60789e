"""How a live thing is shown in a notebook, and how it ends when its cell runs again.

It makes two outputs: a static form (text, and HTML or SVG) that is kept in the saved notebook, and
the live widget. In JupyterLab a live widget hides the static form, and what is left of a dead one
is hidden itself, so a reader sees exactly one of the two; elsewhere, as on GitHub, the static form.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from uuid import uuid4

WIDGET = "application/vnd.jupyter.widget-view+json"


class Outlet:
    """The place in a notebook where one live thing is shown.

    Parameters
    ----------
    close : callable
        Ends what is shown; called when the cell that shows it runs again.
    """

    def __init__(self, close: Callable[[], None]) -> None:
        self._close = close
        self._id = uuid4().hex
        self._last: dict[str, str] | None = None

    def show(self, static: Mapping[str, str], model_id: str) -> None:
        """Publish both forms as outputs of the running cell; text alone without a front end."""
        from IPython.display import publish_display_data

        _claim(self._close)
        self._last = dict(static)
        publish_display_data(dict(static), transient={"display_id": self._id})
        if _has_kernel():
            view = {"version_major": 2, "version_minor": 0, "model_id": model_id}
            publish_display_data({WIDGET: view})

    def update(self, static: Mapping[str, str]) -> None:
        """Replace the static form where it stands, if it is shown and differs."""
        from IPython.display import publish_display_data

        if self._last is not None and self._last != static and _has_kernel():
            self._last = dict(static)
            publish_display_data(dict(static), transient={"display_id": self._id}, update=True)


def _has_kernel() -> bool:
    from IPython import get_ipython

    return hasattr(get_ipython(), "kernel")


_shown: dict[str, tuple[object, list[Callable[[], None]]]] = {}
_guard = threading.Lock()


def _claim(close: Callable[[], None]) -> None:
    """End what earlier runs of the running cell have shown."""
    cell, run = _running_cell()
    if cell is None:
        return
    with _guard:
        before, closers = _shown.get(cell, (run, []))
        _shown[cell] = (run, [close] if before != run else [*closers, close])
    if before != run:
        for old in closers:
            old()


def _running_cell() -> tuple[str | None, object]:
    """Return the id of the running cell and what tells this run of it from others."""
    from IPython import get_ipython

    shell = get_ipython()
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return None, None
    parent = kernel.get_parent("shell") or {}
    return parent.get("metadata", {}).get("cellId"), parent.get("header", {}).get("msg_id")
