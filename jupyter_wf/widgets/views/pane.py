"""The graph as a Panel component: drawn by `formats.svg`, brought to life in the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import param
from panel.custom import JSComponent

from jupyter_wf.formats.looks import LOOKS, tones

STATIC = Path(__file__).parent.parent / "static"
ICONS = {name: one.icon for name, one in LOOKS.items()}


class GraphPane(JSComponent):
    """A graph that can be moved, zoomed and followed while its tasks change state."""

    svg = param.String(default="", doc="The drawing, by `formats.svg.to_svg`.")
    states = param.Dict(default={}, doc="Name of each task → the state to show.")
    added = param.Dict(default={}, doc="Name of a task → [ended, added, words] of those it added.")
    times = param.List(default=[0.0, 0.0], doc="When the first task started, the last one ended.")
    workers = param.List(default=[], doc="Of each worker: name, colour, cpu, memory, state.")
    note = param.String(default="", doc="What to say where nothing is drawn.")

    _esm = f"const ICONS = {json.dumps(ICONS)};\n" + (STATIC / "graph.js").read_text("utf-8")
    _stylesheets: ClassVar[list[Any]] = [
        tones(".jp-wf-view") + (STATIC / "graph.css").read_text("utf-8")
    ]
