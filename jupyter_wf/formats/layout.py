"""Where to draw the nodes of a directed acyclic graph: its connected parts, on shelves.

Each part is placed by `layers`. This module knows boxes and edges only; `drawing` makes them of a
graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, sqrt

from jupyter_wf.formats.layers import ROW_GAP, Block, Box, Edge, Part, Point

BLOCK_GAP = 40.0
ASPECT = 1.9


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything goes.

    Parameters
    ----------
    places : mapping
        Name of the box → (x, y) of its left upper corner.
    routes : tuple of tuple of (float, float)
        For each edge the points it passes, from left to right.
    width, height : float
    """

    places: Mapping[str, Point]
    routes: tuple[tuple[Point, ...], ...]
    width: float
    height: float


def layout(boxes: Mapping[str, Box], edges: Sequence[Edge]) -> Layout:
    """Place `boxes` without overlap so that every edge goes from left to right.

    Parameters
    ----------
    boxes : mapping
        Name → box; the order decides between equally good places.
    edges : sequence of Edge
        Between boxes of that name, without cycles.

    Examples
    --------
    >>> from jupyter_wf.formats.layers import Box, Edge
    >>> found = layout({"a": Box(80, 40, 20), "b": Box(80, 40, 20)}, [Edge("a", "b", 20)])
    >>> found.places
    {'a': (0.0, 0.0), 'b': (127.5, 0.0)}
    """
    blocks = _components(boxes, edges)
    parts: list[Part] = []
    alone = [names[0] for names, own in blocks if not own]
    for names, own in sorted((b for b in blocks if b[1]), key=lambda b: -len(b[0])):
        parts.append(Block({n: boxes[n] for n in names}, [edges[i] for i in own], own).place())
    if alone:
        parts.append(_grid({name: boxes[name] for name in alone}))
    area = sum((part.width + BLOCK_GAP) * (part.height + BLOCK_GAP) for part in parts)
    limit = max([sqrt(area * ASPECT), *(part.width for part in parts)])
    places: dict[str, Point] = {}
    routes: dict[int, tuple[Point, ...]] = {}
    x = y = shelf = width = 0.0
    for found, ways, w, h in parts:
        if x and x + w > limit:
            x, y, shelf = 0.0, y + shelf + BLOCK_GAP, 0.0
        places |= {name: (px + x, py + y) for name, (px, py) in found.items()}
        routes |= {i: tuple((px + x, py + y) for px, py in way) for i, way in ways.items()}
        x, shelf, width = x + w + BLOCK_GAP, max(shelf, h), max(width, x + w)
    ordered = {name: places[name] for name in boxes}
    return Layout(ordered, tuple(routes[i] for i in range(len(edges))), width, y + shelf)


def _components(
    boxes: Mapping[str, Box], edges: Sequence[Edge]
) -> list[tuple[list[str], list[int]]]:
    """Split into connected parts: their names and the numbers of their edges."""
    leader = {name: name for name in boxes}

    def find(name: str) -> str:
        while leader[name] != name:
            leader[name] = name = leader[leader[name]]
        return name

    for edge in edges:
        leader[find(edge.target)] = find(edge.source)
    parts: dict[str, tuple[list[str], list[int]]] = {}
    for name in boxes:
        parts.setdefault(find(name), ([], []))[0].append(name)
    for number, edge in enumerate(edges):
        parts[find(edge.source)][1].append(number)
    return list(parts.values())


def _grid(boxes: Mapping[str, Box]) -> Part:
    """Place boxes without edges in rows."""
    wide = max(box.width for box in boxes.values()) + ROW_GAP
    high = max(box.height for box in boxes.values()) + ROW_GAP
    columns = max(1, min(len(boxes), ceil(sqrt(len(boxes) * ASPECT * high / wide))))
    places = {
        name: (number % columns * wide, number // columns * high)
        for number, name in enumerate(boxes)
    }
    rows = ceil(len(boxes) / columns)
    return Part(places, {}, columns * wide - ROW_GAP, rows * high - ROW_GAP)
