"""The live card of one task."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from jupyter_wf.errors import WorkflowError
from jupyter_wf.formats.looks import LOOKS, tones
from jupyter_wf.widgets.facts import as_html, as_text, facts, settled
from jupyter_wf.widgets.feed import feed_of
from jupyter_wf.widgets.outlets import Outlet
from jupyter_wf.widgets.preview import preview

if TYPE_CHECKING:
    from jupyter_wf.workflow import Workflow

STATIC = Path(__file__).parent / "static"
EVERY = 0.05
LARGEST_VALUE = 64_000_000
LONGEST_LOG = 64_000
ICONS = {name: one.icon for name, one in LOOKS.items()}

Piece = tuple[str, str]


class Card(anywidget.AnyWidget):
    """Shows one task of a workflow: its state, what it reads and makes, its log, its failure.

    It follows the workflow until it is closed, or until the cell that shows it runs again. The
    messages between kernel and front end are described in ``protocol.json``.

    Parameters
    ----------
    flow : Workflow
    task_name : str
        Name of a task of the workflow; a `WorkflowError` is raised if there is none.
    """

    _esm = f"const ICONS = {json.dumps(ICONS)};\n" + (STATIC / "card.js").read_text("utf-8")
    _css = tones(".jp-wf") + (STATIC / "card.css").read_text("utf-8")

    #: Ends the subscription; a card that could not be made has none.
    _unwatch: Callable[[], None] = staticmethod(lambda: None)

    facts = traitlets.Dict().tag(sync=True)
    previews = traitlets.Dict().tag(sync=True)

    def __init__(self, flow: Workflow, task_name: str) -> None:
        if task_name not in flow.graph.tasks:
            raise WorkflowError(f"There is no task named {task_name!r}, so it has no card.")
        self._flow = flow
        self._task = task_name
        self._lock = threading.Lock()
        self._outlet = Outlet(self.close)
        self._listening = False
        self._log: list[Piece] = []
        self._pictured: dict[str, str] = {}
        self._notice = ""
        super().__init__(facts=facts(flow, task_name))
        self.on_msg(self._heard)
        self._unwatch = feed_of(flow).watch(self._refresh, EVERY, task_name)

    # -- what it shows -------------------------------------------------------------------------

    def _refresh(self) -> None:
        """Bring everything up to date; called by the feed, in its thread."""
        found = facts(self._flow, self._task)
        if self._notice:
            found["notice"] = self._notice
        self.facts = found
        if settled(found):
            self._outlet.update(self._static())
        if self._listening:
            self._send_log()
            self._picture()

    def _send_log(self, whole: bool = False) -> None:
        with self._lock:
            # Under the lock, so that what the feed's thread sends is what comes after.
            self._listening = True
            status = self._flow.status_of(self._task)
            now: list[Piece] = list(status.log) if status is not None else []
            new = None if whole else _added(self._log, now)
            self._log = now
            if new == 0:
                return
            pieces = now if new is None else now[-new:]
            message = {"type": "log", "reset": new is None, "items": _joined(pieces)}
            self.send(message)

    def _picture(self) -> None:
        """Begin previews of values that are new and not huge."""
        status = self._flow.status_of(self._task)
        task = self._flow.graph.tasks.get(self._task)
        if status is None or task is None or not status.computed:
            return
        for output, data in task.outputs:
            stored = status.outputs.get(output)
            if stored is None or stored.nbytes > LARGEST_VALUE:
                continue
            if self._pictured.get(data) != stored.id:
                self._pictured[data] = stored.id
                _painter().submit(self._paint, data, stored.id)

    def _paint(self, data: str, content: str) -> None:
        try:
            found = preview(self._flow.handle(data).get())
        except Exception as error:  # noqa: BLE001 a card without a preview is still a card
            found = {"kind": "text", "text": f"no preview: {type(error).__name__}: {error}"[:500]}
        with self._lock:
            if self._pictured.get(data) == content and self.comm is not None:
                self.previews = {**self.previews, data: found}

    # -- what it hears -------------------------------------------------------------------------

    def _heard(self, _widget: object, content: dict[str, Any], _buffers: object) -> None:
        try:
            match content.get("type"):
                case "hello":
                    self._send_log(whole=True)
                    self._picture()
                case "cancel":
                    self._flow.cancel(self._task)
                case "run":
                    again = self.facts.get("state") in ("stored", "cached")
                    self._flow.run(self._task, force=[self._task] if again else ())
                    self._notice = ""
        except WorkflowError as error:
            self._notice = str(error)
            self.facts = {**self.facts, "notice": self._notice}

    # -- where it is shown ---------------------------------------------------------------------

    def _static(self) -> dict[str, str]:
        return {"text/plain": as_text(self.facts), "text/html": as_html(self.facts)}

    def _ipython_display_(self) -> None:
        self._outlet.show(self._static(), self.model_id)

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, Any], dict[str, Any]]:
        live, metadata = super()._repr_mimebundle_()
        return {**live, **self._static()}, metadata

    def __repr__(self) -> str:
        return as_text(self.facts)

    def close(self) -> None:
        """Stop following the workflow and remove the card."""
        self._unwatch()
        super().close()


@cache
def _painter() -> ThreadPoolExecutor:
    """Return the one thread that fetches values for previews, so that no card waits for it."""
    return ThreadPoolExecutor(1, thread_name_prefix="jupyter_wf-preview")


def _added(before: Sequence[Piece], now: Sequence[Piece]) -> int | None:
    """Return how many pieces at the end of `now` are new; None if nothing was kept.

    Pieces are compared by identity: a log drops its oldest ones, so it can't be counted.
    """
    if not before:
        return len(now)
    last = before[-1]
    for number, piece in enumerate(reversed(now)):
        if piece is last:
            return number
    return None


def _joined(pieces: Sequence[Piece]) -> list[list[str]]:
    """Join neighbours of one stream, and leave out the oldest text beyond `LONGEST_LOG`."""
    found: deque[list[str]] = deque()
    room = LONGEST_LOG
    for stream, text in reversed(pieces):
        kept = text[-room:]
        if found and found[0][0] == stream:
            found[0][1] = kept + found[0][1]
        else:
            found.appendleft([stream, kept])
        room -= len(text)
        if room <= 0:
            found.appendleft(["log", "… older output is left out …\n"])
            break
    return list(found)
