"""Shows a Panel object in a notebook through an ordinary widget.

Panel's own way needs scripts from a CDN or copies of them in the notebook. Here the widget's
front end loads them (see `scripts`), asks for the document, and is sent each change of it.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets
from bokeh.core.serialization import Serializer
from bokeh.document import Document
from bokeh.document.events import DocumentPatchedEvent
from bokeh.embed.util import standalone_docs_json_and_render_items

from jupyter_wf.widgets.views.scripts import manifest, scripts

if TYPE_CHECKING:
    from bokeh.model import Model
    from panel.viewable import Viewable

STATIC = Path(__file__).parent.parent / "static"
#: In JupyterLab the live view hides the picture before it, which stands for it in a saved notebook.
PAIR = (
    ".jp-OutputArea-child:has(> .jp-RenderedSVG):has(+ .jp-OutputArea-child .jp-wf-live)"
    "{display:none}"
)


class Host(anywidget.AnyWidget):
    """A widget that shows `content` in any number of places at once.

    Parameters
    ----------
    content : Viewable
        Any Panel object.
    lock : RLock
        Held while the document is read or written; whoever changes `content` holds it too, and
        calls `flush` before letting go.
    """

    _esm = (STATIC / "host.js").read_text("utf-8")
    _css = PAIR

    manifest = traitlets.Dict().tag(sync=True)

    def __init__(self, content: Viewable, lock: threading.RLock) -> None:
        self._lock = lock
        self._document = Document()
        self._root: Model = content.get_root(self._document)
        if self._root not in self._document.roots:
            self._document.add_root(self._root)
        self._pending: list[DocumentPatchedEvent] = []
        self._document.on_change(self._changed)
        # Panel itself collects and releases events, each in its way; held, they all wait for us.
        self._document.hold("combine")
        self._opened = False
        super().__init__(manifest=manifest())
        self.on_msg(self._heard)

    def _changed(self, event: Any) -> None:
        if isinstance(event, DocumentPatchedEvent):
            self._pending.append(event)

    def flush(self) -> None:
        """Send the changes made so far; called with the lock held."""
        self._document.unhold()
        self._document.hold("combine")
        events, self._pending = self._pending, []
        by_setter: dict[object, list[DocumentPatchedEvent]] = {}
        for event in events:
            by_setter.setdefault(event.setter, []).append(event)
        for setter, own in by_setter.items():
            if self._opened:
                self.send({"type": "patch", "content": self._patch(own), "skip": setter})

    def _patch(self, events: list[DocumentPatchedEvent]) -> str:
        models = self._document.models
        serializer = Serializer(references=models.synced_references, deferred=False)
        content = json.dumps({"events": serializer.encode(events)})
        models.flush_synced(lambda model: not serializer.has_ref(model))
        return content

    def _snapshot(self) -> dict[str, Any]:
        documents, _ = standalone_docs_json_and_render_items(
            [self._root], suppress_callback_warning=True
        )
        (document,) = documents.values()
        return {"doc": document, "root_id": self._root.id, "version": document["version"]}

    def _heard(self, _widget: object, content: dict[str, Any], _buffers: object) -> None:
        match content.get("type"):
            case "script":
                for script in scripts():
                    if script.name == content.get("name"):
                        self.send({"type": "script", "name": script.name}, [script.packed()])
            case "open":
                with self._lock:
                    self.flush()
                    self._opened = True
                    self.send(
                        {
                            "type": "document",
                            "view": content.get("view"),
                            "item": json.dumps(self._snapshot()),
                        }
                    )
                    self._document.models.flush_synced()
            case "patch":
                with self._lock:
                    patch = json.loads(content["content"])
                    self._document.apply_json_patch(patch, setter=content.get("view"))
                    self.flush()
