"""Where to draw the nodes of a directed acyclic graph, in layers from left to right.

The method is that of Sugiyama, Tagawa and Toda (1981): layers by longest path, of bounded width
(after Coffman and Graham, 1972), thin *lanes* for edges that pass over layers, crossing reduction
by barycentres and by swapping neighbours, and rows by least squares: within a layer each box goes
as near to its neighbours as keeping the order and the gaps allows (isotonic regression, by
pooling adjacent violators). Edges of one source, or into one target, share a lane.

This module knows boxes and edges only; `drawing` makes them of a graph.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, sqrt

ROW_GAP = 18.0
LANE = 7.0
COLUMN_GAP = 46.0
BLOCK_GAP = 40.0
ASPECT = 1.9
NARROW = 7

Item = Hashable


@dataclass(frozen=True, slots=True)
class Box:
    """What is to be placed: its size, and where an edge enters at its left side, from its top."""

    width: float
    height: float
    entry: float = 0.0


@dataclass(frozen=True, slots=True)
class Edge:
    """From `source`, leaving its right side `exit` below its top, to `target`."""

    source: str
    target: str
    exit: float = 0.0


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

    places: Mapping[str, tuple[float, float]]
    routes: tuple[tuple[tuple[float, float], ...], ...]
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
    >>> found = layout({"a": Box(80, 40, 20), "b": Box(80, 40, 20)}, [Edge("a", "b", 20)])
    >>> found.places
    {'a': (0.0, 0.0), 'b': (127.5, 0.0)}
    """
    blocks = _components(boxes, edges)
    parts: list[tuple[dict[str, tuple[float, float]], _Routes, float, float]] = []
    alone = [names[0] for names, own in blocks if not own]
    for names, own in sorted((b for b in blocks if b[1]), key=lambda b: -len(b[0])):
        parts.append(_Block({n: boxes[n] for n in names}, [edges[i] for i in own], own).place())
    if alone:
        parts.append(_grid({name: boxes[name] for name in alone}))
    area = sum((w + BLOCK_GAP) * (h + BLOCK_GAP) for *_, w, h in parts)
    limit = max([sqrt(area * ASPECT), *(w for _, _, w, _ in parts)])
    places: dict[str, tuple[float, float]] = {}
    routes: _Routes = {}
    x = y = shelf = width = 0.0
    for found, ways, w, h in parts:
        if x and x + w > limit:
            x, y, shelf = 0.0, y + shelf + BLOCK_GAP, 0.0
        places |= {name: (px + x, py + y) for name, (px, py) in found.items()}
        routes |= {i: tuple((px + x, py + y) for px, py in way) for i, way in ways.items()}
        x, shelf, width = x + w + BLOCK_GAP, max(shelf, h), max(width, x + w)
    ordered = {name: places[name] for name in boxes}
    return Layout(ordered, tuple(routes[i] for i in range(len(edges))), width, y + shelf)


_Routes = dict[int, tuple[tuple[float, float], ...]]


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


def _grid(
    boxes: Mapping[str, Box],
) -> tuple[dict[str, tuple[float, float]], _Routes, float, float]:
    """Place boxes without edges in rows."""
    wide = max(box.width for box in boxes.values()) + ROW_GAP
    high = max(box.height for box in boxes.values()) + ROW_GAP
    columns = max(1, min(len(boxes), ceil(sqrt(len(boxes) * ASPECT * high / wide))))
    places = {
        name: (number % columns * wide, number // columns * high)
        for number, name in enumerate(boxes)
    }
    return places, {}, columns * wide - ROW_GAP, ceil(len(boxes) / columns) * high - ROW_GAP


class _Block:
    """One connected part; an item is the name of a box, or a tuple for a lane in a layer."""

    def __init__(
        self, boxes: Mapping[str, Box], edges: Sequence[Edge], numbers: Sequence[int]
    ) -> None:
        self.boxes, self.edges, self.numbers = boxes, edges, numbers
        self.layer = self._layers()
        self.paths = [self._path(edge) for edge in self.edges]
        self.columns = self._columns()
        self.links = self._links()

    def place(self) -> tuple[dict[str, tuple[float, float]], _Routes, float, float]:
        """Return places, routes by number of the edge, width and height."""
        _uncross(self.columns, self.links)
        tops = self._rows()
        highest = min(tops.values())
        left, x = [], 0.0
        wires = [0] * len(self.columns)
        for edge in self.edges:
            wires[self.layer[edge.source]] += 1
        for number, column in enumerate(self.columns):
            left.append(x)
            wide = max((self.boxes[i].width for i in column if isinstance(i, str)), default=0.0)
            x += wide + COLUMN_GAP + min(40.0, 1.5 * wires[number])
        right = [
            start + max((self.boxes[i].width for i in column if isinstance(i, str)), default=0.0)
            for start, column in zip(left, self.columns, strict=True)
        ]
        places = {n: (left[self.layer[n]], round(tops[n] - highest, 1)) for n in self.boxes}
        routes: _Routes = {}
        for number, edge, path in zip(self.numbers, self.edges, self.paths, strict=True):
            sx, sy = places[edge.source]
            tx, ty = places[edge.target]
            points = [(sx + self.boxes[edge.source].width, sy + edge.exit)]
            for lane in path[1:-1]:
                column = lane[-1]  # type: ignore[index]
                y = round(tops[lane] - highest, 1)
                points += [(left[column], y), (right[column], y)]
            points.append((tx, ty + self.boxes[edge.target].entry))
            routes[number] = tuple(points)
        height = max(places[n][1] + box.height for n, box in self.boxes.items())
        lowest = max((y for route in routes.values() for _, y in route), default=0.0)
        return places, routes, max(right), max(height, lowest)

    def _layers(self) -> dict[str, int]:
        before: dict[str, list[str]] = {name: [] for name in self.boxes}
        after: dict[str, list[str]] = {name: [] for name in self.boxes}
        for edge in self.edges:
            before[edge.target].append(edge.source)
            after[edge.source].append(edge.target)
        most = max(NARROW, ceil(1.4 * sqrt(len(self.boxes))))
        layer: dict[str, int] = {}
        filled: dict[int, int] = {}
        for name in _depth_first(before):
            at = max((layer[p] + 1 for p in before[name]), default=0)
            while filled.get(at, 0) >= most:
                at += 1
            layer[name] = at
            filled[at] = filled.get(at, 0) + 1
        for name in self.boxes:
            if not before[name] and after[name]:
                layer[name] = max(layer[name], min(layer[t] for t in after[name]) - 1)
        used = {at: number for number, at in enumerate(sorted(set(layer.values())))}
        return {name: used[layer[name]] for name in self.boxes}

    def _path(self, edge: Edge) -> tuple[Item, ...]:
        """Return the items an edge passes: its source, lanes, its target."""
        if not hasattr(self, "_degrees"):
            self._degrees: tuple[dict[Item, int], dict[Item, int]] = ({}, {})
            for e in self.edges:
                for count, end in zip(self._degrees, ((e.source, e.exit), e.target), strict=True):
                    count[end] = count.get(end, 0) + 1
        fan_out = self._degrees[0][edge.source, edge.exit] >= self._degrees[1][edge.target]
        lane: tuple[Item, ...] = (
            ("from", edge.source, edge.exit) if fan_out else ("into", edge.target)
        )
        between = range(self.layer[edge.source] + 1, self.layer[edge.target])
        return (edge.source, *((*lane, at) for at in between), edge.target)

    def _columns(self) -> list[list[Item]]:
        columns: list[dict[Item, None]] = [{} for _ in range(max(self.layer.values()) + 1)]
        for path in self.paths:
            for at, item in enumerate(path, self.layer[path[0]]):  # type: ignore[index]
                columns[at][item] = None
        return [list(column) for column in columns]

    def _links(self) -> dict[tuple[Item, Item], tuple[float, float, float]]:
        """Return for each pair of neighbours (weight, exit of the left, entry of the right)."""
        links: dict[tuple[Item, Item], tuple[float, float, float]] = {}
        for edge, path in zip(self.edges, self.paths, strict=True):
            for a, b in pairwise(path):
                real = isinstance(a, str) + isinstance(b, str)
                weight = (6.0, 2.0, 1.0)[real] + links.get((a, b), (0.0,))[0]
                out = edge.exit if isinstance(a, str) else 0.0
                into = self.boxes[b].entry if isinstance(b, str) else 0.0
                links[a, b] = (weight, out, into)
        return links

    def _rows(self) -> dict[Item, float]:
        """Return the top of each item."""
        near: dict[Item, tuple[list[_Pull], list[_Pull]]] = {}
        for column in self.columns:
            for item in column:
                near[item] = ([], [])
        for (a, b), (weight, out, into) in self.links.items():
            near[b][0].append((a, weight, out - into))
            near[a][1].append((b, weight, into - out))
        tops: dict[Item, float] = {}
        steps = []
        for column in self.columns:
            offset, step = 0.0, []
            for item in column:
                tops[item] = offset
                step.append(offset)
                offset += self.boxes[item].height + ROW_GAP if isinstance(item, str) else LANE
            steps.append(step)
        last = range(len(self.columns))
        rounds = 4 if len(tops) > 1500 else 12
        aim = [((0,), last), ((1,), last[::-1])]
        relax = [((0, 1), last), ((0, 1), last[::-1])]
        for sides, order in aim * 3 + relax * rounds:
            for at in order:
                self._settle(self.columns[at], steps[at], near, sides, tops)
        return tops

    @staticmethod
    def _settle(
        column: list[Item],
        step: list[float],
        near: Mapping[Item, tuple[list[_Pull], list[_Pull]]],
        sides: tuple[int, ...],
        tops: dict[Item, float],
    ) -> None:
        """Move a column's items as near to their neighbours as order and gaps allow."""
        pools: list[tuple[float, float, int]] = []
        for item, offset in zip(column, step, strict=True):
            weight = wanted = 0.0
            for side in sides:
                for other, pull, shift in near[item][side]:
                    weight += pull
                    wanted += pull * (tops[other] + shift)
            if not weight:
                weight, wanted = 0.05, 0.05 * tops[item]
            pool = (weight, wanted - weight * offset, 1)
            while pools and pools[-1][1] / pools[-1][0] > pool[1] / pool[0]:
                w, s, n = pools.pop()
                pool = (pool[0] + w, pool[1] + s, pool[2] + n)
            pools.append(pool)
        number = 0
        for weight, wanted, count in pools:
            for _ in range(count):
                tops[column[number]] = wanted / weight + step[number]
                number += 1


_Pull = tuple[Item, float, float]


def _depth_first(before: Mapping[str, Sequence[str]]) -> list[str]:
    """Order names after all they depend on, chains together."""
    done: dict[str, None] = {}
    for root in before:
        todo = [(root, iter(before[root]))]
        while todo:
            name, rest = todo[-1]
            parent = next((p for p in rest if p not in done), None)
            if parent is not None:
                todo.append((parent, iter(before[parent])))
            else:
                todo.pop()
                done[name] = None
    return list(done)


def _uncross(
    columns: list[list[Item]], links: Mapping[tuple[Item, Item], tuple[float, float, float]]
) -> None:
    """Reorder each column, in place, so that few links cross."""
    left: dict[Item, list[Item]] = {}
    right: dict[Item, list[Item]] = {}
    for a, b in links:
        right.setdefault(a, []).append(b)
        left.setdefault(b, []).append(a)
    size = sum(map(len, columns))
    best, fewest = [list(c) for c in columns], _crossings(columns, right)
    for _ in range(12 if size < 1500 else 5):
        for side, order in (
            (left, range(1, len(columns))),
            (right, range(len(columns) - 2, -1, -1)),
        ):
            for at in order:
                _sort(columns[at], columns[at - 1 if side is left else at + 1], side)
        if size < 600:
            _swap(columns, left, right)
        found = _crossings(columns, right)
        if found >= fewest:
            break
        best, fewest = [list(c) for c in columns], found
    for at, column in enumerate(best):
        columns[at] = column


def _sort(column: list[Item], fixed: Sequence[Item], near: Mapping[Item, Sequence[Item]]) -> None:
    place = {item: number for number, item in enumerate(fixed)}
    scale = len(fixed) / max(1, len(column))
    centre = {
        item: sum(place[o] for o in near[item]) / len(near[item])
        if near.get(item)
        else number * scale
        for number, item in enumerate(column)
    }
    column.sort(key=centre.__getitem__)


def _swap(
    columns: Sequence[list[Item]],
    left: Mapping[Item, Sequence[Item]],
    right: Mapping[Item, Sequence[Item]],
) -> None:
    """Swap neighbours while that saves crossings."""
    for at, column in enumerate(columns):
        sides = []
        if at:
            sides.append((left, {item: n for n, item in enumerate(columns[at - 1])}))
        if at + 1 < len(columns):
            sides.append((right, {item: n for n, item in enumerate(columns[at + 1])}))
        for number in range(len(column) - 1):
            a, b = column[number], column[number + 1]
            gain = 0
            for near, place in sides:
                one = [place[o] for o in near.get(a, ())]
                two = [place[o] for o in near.get(b, ())]
                gain += sum((p > q) - (p < q) for p in one for q in two)
            if gain > 0:
                column[number], column[number + 1] = b, a


def _crossings(columns: Sequence[list[Item]], right: Mapping[Item, Sequence[Item]]) -> int:
    """Count crossing links with a Fenwick tree for each pair of columns."""
    total = 0
    for column, following in pairwise(columns):
        place = {item: number for number, item in enumerate(following)}
        tree = [0] * (len(following) + 1)
        seen = 0
        for item in column:
            ends = sorted(place[o] for o in right.get(item, ()))
            for end in ends:
                below, at = 0, end + 1
                while at:
                    below += tree[at]
                    at -= at & -at
                total += seen - below
            for end in ends:
                at = end + 1
                while at <= len(following):
                    tree[at] += 1
                    at += at & -at
            seen += len(ends)
    return total
