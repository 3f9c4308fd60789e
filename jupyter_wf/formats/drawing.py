"""A graph as shapes on a plane: what `svg` writes down.

A task is a box that lists its outputs, each at a port on its right side; an edge leads from a port
to the left side of each task that reads this data. Data given from outside are pills of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from unicodedata import east_asian_width

from jupyter_wf.formats.layers import Box, Edge
from jupyter_wf.formats.layout import layout
from jupyter_wf.graph import Graph, Task

MARGIN = 16.0
HEADER = 27.0
ROW = 17.0
PILL = 24.0
MOST_PORTS = 6
LONGEST = 26
NARROW = frozenset("fijlrtI.,:;'|!()[] ")
WIDE = frozenset("mwMWABCDEGHKNOQRUVXYZ@%&—…<>=+~#")


@dataclass(frozen=True, slots=True)
class Port:
    """One output: the data, how it is written, and its height below the box's top."""

    data: str
    label: str
    y: float


@dataclass(frozen=True, slots=True)
class Node:
    """A task (its `ports` are its outputs) or, with `kind` ``"data"``, a value from outside."""

    kind: str
    name: str
    label: str
    x: float
    y: float
    width: float
    height: float
    ports: tuple[Port, ...] = ()


@dataclass(frozen=True, slots=True)
class Wire:
    """An edge: `data`, made by the task `source` (empty for none), is read by the task `target`."""

    data: str
    source: str
    target: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Drawing:
    """Shapes and the size of the plane."""

    nodes: tuple[Node, ...]
    wires: tuple[Wire, ...]
    width: float
    height: float


def draw(graph: Graph) -> Drawing:
    """Place the tasks and data of a graph."""
    labels = {name: shortened(short) for name, short in graph.short_names.items()}
    ports = {name: _ports(graph.tasks[name], labels) for name in graph.order()}
    boxes: dict[str, Box] = {}
    for name in sorted(n for n, d in graph.data.items() if d.producer is None):
        width = max(46.0, 24 + text_width(labels[name], 11))
        boxes[f"d:{name}"] = Box(round(width), PILL, PILL / 2)
    for name, own in ports.items():
        wide = 44 + text_width(labels[name], 14.3)
        outputs = 112 + max((text_width(port.label, 11) for port in own), default=0.0)
        height = HEADER + ROW * max(1, len(own)) + 7
        boxes[f"t:{name}"] = Box(round(max(124.0, wide, outputs)), height, HEADER + ROW / 2)
    edges, wires = [], []
    for name in ports:
        for data in dict.fromkeys(d for _, d in graph.tasks[name].inputs):
            producer = graph.data[data].producer
            if producer is None:
                edges.append(Edge(f"d:{data}", f"t:{name}", PILL / 2))
            else:
                edges.append(Edge(f"t:{producer}", f"t:{name}", _port_of(ports[producer], data)))
            wires.append((data, producer or "", name))
    found = layout(boxes, edges)
    nodes = tuple(
        Node(
            "task" if key[0] == "t" else "data",
            key[2:],
            labels[key[2:]],
            x + MARGIN,
            y + MARGIN,
            boxes[key].width,
            boxes[key].height,
            ports.get(key[2:], ()) if key[0] == "t" else (),
        )
        for key, (x, y) in found.places.items()
    )
    moved = (tuple((x + MARGIN, y + MARGIN) for x, y in route) for route in found.routes)
    return Drawing(
        nodes,
        tuple(Wire(*wire, route) for wire, route in zip(wires, moved, strict=True)),
        found.width + 2 * MARGIN,
        found.height + 2 * MARGIN,
    )


def _ports(task: Task, labels: Mapping[str, str]) -> tuple[Port, ...]:
    names = [name for _, name in task.outputs]
    shown = names if len(names) <= MOST_PORTS else names[: MOST_PORTS - 1]
    ports = [
        Port(name, labels[name], HEADER + ROW * (number + 0.5)) for number, name in enumerate(shown)
    ]
    if len(shown) < len(names):
        rest = f"+ {len(names) - len(shown)} more"
        ports.append(Port("", rest, HEADER + ROW * (len(shown) + 0.5)))
    return tuple(ports)


def _port_of(ports: Iterable[Port], data: str) -> float:
    own = list(ports)
    return next((port.y for port in own if port.data == data), own[-1].y)


def shortened(name: str, longest: int = LONGEST) -> str:
    """Return a name, its middle left out if it is long."""
    if len(name) <= longest:
        return name
    tail = longest // 3
    return f"{name[: longest - tail - 1]}…{name[-tail:]}"


def text_width(text: str, size: float) -> float:
    """Estimate the width of text in a proportional font, in units of `size`'s."""
    total = 0.0
    for char in text:
        if east_asian_width(char) in "WF":
            total += 1.0
        elif char in NARROW:
            total += 0.34
        else:
            total += 0.8 if char in WIDE else 0.6
    return total * size
