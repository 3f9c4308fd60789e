"""A graph as a self-contained picture that follows the theme of the page around it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise

from jupyter_wf.formats.drawing import HEADER, ROW, Node, Port, Wire, draw, text_width
from jupyter_wf.formats.looks import LOOKS, look, tones
from jupyter_wf.graph import Graph

_S = ".jp-wf-graph"
STYLE = (
    f"{_S}{{--wf-ink:var(--jp-ui-font-color1,#1f2328);--wf-soft:var(--jp-ui-font-color2,#59636e);"
    "--wf-line:var(--jp-border-color1,#b4bac1);--wf-paper:var(--jp-layout-color1,#fff);"
    "--wf-box:var(--jp-layout-color1,#fff);--wf-pill:var(--jp-layout-color2,#eef1f4);"
    "font-family:var(--jp-ui-font-family,system-ui,-apple-system,'Segoe UI',sans-serif)}"
    "@media (prefers-color-scheme:dark){"
    f"{_S}{{--wf-ink:var(--jp-ui-font-color1,#e6edf3);--wf-soft:var(--jp-ui-font-color2,#9198a1);"
    "--wf-line:var(--jp-border-color1,#4b535d);--wf-paper:var(--jp-layout-color1,#0d1117);"
    "--wf-box:var(--jp-layout-color1,#161b22);--wf-pill:var(--jp-layout-color2,#21262d)}}"
    f"{tones(_S)}"
    f"{_S} .wf-ground{{fill:var(--wf-paper);stroke:none}}"
    f"{_S} .wf-wire{{fill:none;stroke:var(--wf-line);stroke-width:1.4}}"
    f"{_S} .wf-box{{fill:var(--wf-box);stroke:var(--wf-line);stroke-width:1.2}}"
    f"{_S} .wf-tint{{fill:var(--wf-tone);opacity:.09}}"
    f"{_S} .wf-bar{{fill:var(--wf-tone)}}"
    f"{_S} .wf-icon{{fill:none;stroke:var(--wf-tone);stroke-width:1.8;stroke-linecap:round;"
    "stroke-linejoin:round}"
    f"{_S} .wf-name{{fill:var(--wf-ink);font-size:13px;font-weight:600}}"
    f"{_S} .wf-word{{fill:var(--wf-tone);font-size:11px}}"
    f"{_S} .wf-port{{fill:var(--wf-soft);font-size:11px;text-anchor:end}}"
    f"{_S} .wf-dot{{fill:var(--wf-line)}}"
    f"{_S} .wf-pill{{fill:var(--wf-pill);stroke:var(--wf-line);stroke-width:1}}"
    f"{_S} .wf-lost .wf-pill{{stroke:var(--wf-tone);stroke-dasharray:3 2}}"
    f"{_S} .wf-speck{{fill:var(--wf-tone);opacity:.75}}"
    f"{_S} .wf-value{{fill:var(--wf-ink);font-size:11px;text-anchor:middle}}"
)


def to_svg(graph: Graph, states: Mapping[str, str] | None = None, *, detail: bool = True) -> str:
    """Draw a graph.

    Parameters
    ----------
    graph : Graph
    states : mapping, optional
        Name of the task → the state to show; a task without one is shown as ``new``.
    detail : bool
        Without it a task is a patch of colour with its name as a tooltip, and the file a quarter.

    Returns
    -------
    str
        SVG 1.1 that loads nothing and runs nothing; every label is escaped.
    """
    states = states or {}
    drawing = draw(graph)
    own = {name: state for name, state in states.items() if name in graph.tasks}
    text = f"Workflow of {summary(own, len(graph.tasks))}"
    parts = [_head(text, drawing.width, drawing.height)]
    parts += [_wire(wire, detail=detail) for wire in drawing.wires]
    for node in drawing.nodes:
        if node.kind == "task":
            state = states.get(node.name, "new")
            parts.append(_task(node, state) if detail else _speck(node, state))
        else:
            parts.append(_value(node, lost=graph.data[node.name].orphan))
    return "\n".join([*parts, "</svg>\n"])


def caption(text: str) -> str:
    """Return a picture that holds one line of text, where a graph can't be drawn."""
    width = text_width(text, 13) + 34
    line = f'<text class="wf-name" x="16" y="25">{escape(text)}</text>'
    return "\n".join([_head(text, width, 40), line, "</svg>\n"])


def escape(text: str) -> str:
    """Return `text` for an element or a quoted attribute of XML 1.0, whatever it holds."""
    kept = "".join(c if _is_xml(ord(c)) else "\N{REPLACEMENT CHARACTER}" for c in text)
    for char, entity in (("&", "amp"), ("<", "lt"), (">", "gt"), ('"', "quot"), ("'", "#39")):
        kept = kept.replace(char, f"&{entity};")
    return kept


def summary(states: Mapping[str, str], total: int) -> str:
    """Return one line such as ``8 tasks: 6 stored, 2 new``, in the order of `LOOKS`."""
    noun = "task" if total == 1 else "tasks"
    counts = Counter(states.values())
    counts["new"] += total - len(states)
    known = [f"{counts[name]} {name}" for name in LOOKS if counts[name] > 0]
    return f"{total} {noun}" + (f": {', '.join(known)}" if known else "")


def _is_xml(point: int) -> bool:
    return (
        point in (0x9, 0xA, 0xD)
        or 0x20 <= point <= 0xD7FF
        or 0xE000 <= point <= 0xFFFD
        or point >= 0x10000
    )


def _head(text: str, width: float, height: float) -> str:
    text, wide, high = escape(text), _number(width), _number(height)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="jp-wf-graph" role="img" '
        f'aria-label="{text}" width="{wide}" height="{high}" viewBox="0 0 {wide} {high}">\n'
        f"<title>{text}</title>\n<style>{STYLE}</style>\n"
        f'<rect class="wf-ground" width="{wide}" height="{high}" rx="6"/>'
    )


def _wire(wire: Wire, *, detail: bool) -> str:
    ends = (
        f'data-from="{escape(wire.source)}" data-to="{escape(wire.target)}" '
        f'data-data="{escape(wire.data)}" '
        if detail
        else ""
    )
    return f'<path class="wf-wire" {ends}d="{_curve(wire.points)}"/>'


def _speck(node: Node, state: str) -> str:
    return (
        f'<rect class="wf-speck" data-state="{escape(state)}" x="{_number(node.x)}" '
        f'y="{_number(node.y)}" width="{_number(node.width)}" height="{_number(node.height)}" '
        f'rx="7"><title>{escape(node.name)}</title></rect>'
    )


def _task(node: Node, state: str) -> str:
    width, height = _number(node.width), _number(node.height)
    state = escape(state)
    rows = "".join(
        f'<text class="wf-port" x="{_number(node.width - 11)}" y="{_number(port.y + 4)}">'
        f"{_title(port)}{escape(port.label)}</text>"
        f'<circle class="wf-dot" cx="{width}" cy="{_number(port.y)}" r="3"/>'
        for port in node.ports
    )
    return (
        f'<g class="wf-task" role="group" data-task="{escape(node.name)}" data-state="{state}" '
        f'transform="translate({_number(node.x)} {_number(node.y)})">'
        f"<title>{escape(node.name)}: {state}</title>"
        f'<rect class="wf-box" width="{width}" height="{height}" rx="7"/>'
        f'<rect class="wf-tint" width="{width}" height="{height}" rx="7"/>'
        f'<path class="wf-icon" transform="translate(10 7.5) scale(.82)" d="{look(state).icon}"/>'
        f'<text class="wf-name" x="30" y="19">{escape(node.label)}</text>'
        f'<text class="wf-word" x="30" y="{_number(HEADER + ROW / 2 + 4)}">{state}</text>'
        f"{rows}</g>"
    )


def _title(port: Port) -> str:
    """Return what tells the name of an output that is written shorter than it is."""
    return "" if port.data in ("", port.label) else f"<title>{escape(port.data)}</title>"


def _value(node: Node, *, lost: bool) -> str:
    note = "missing: nothing makes it any more" if lost else "value given from outside"
    width, height = _number(node.width), _number(node.height)
    kind = 'class="wf-data wf-lost" data-state="error"' if lost else 'class="wf-data"'
    return (
        f'<g {kind} role="group" data-data="{escape(node.name)}" '
        f'transform="translate({_number(node.x)} {_number(node.y)})">'
        f"<title>{escape(node.name)}: {note}</title>"
        f'<rect class="wf-pill" width="{width}" height="{height}" rx="{_number(node.height / 2)}"/>'
        f'<text class="wf-value" x="{_number(node.width / 2)}" y="16">{escape(node.label)}</text>'
        "</g>"
    )


def _curve(points: Sequence[tuple[float, float]]) -> str:
    """Return a smooth path through `points` that leaves and arrives level."""
    (x, y), *_ = points
    steps = [f"M{_number(x)} {_number(y)}"]
    for (x1, y1), (x2, y2) in pairwise(points):
        if abs(y2 - y1) < 0.05:
            steps.append(f"H{_number(x2)}")
        else:
            middle = _number((x1 + x2) / 2)
            steps.append(
                f"C{middle} {_number(y1)} {middle} {_number(y2)} {_number(x2)} {_number(y2)}"
            )
    return "".join(steps)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
