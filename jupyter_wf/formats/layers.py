"""Where to draw boxes that are connected, in layers from left to right.

The method is that of Sugiyama, Tagawa and Toda (1981): layers by longest path, of bounded width
(after Coffman and Graham, 1972), thin *lanes* for edges that pass over layers, few crossings, and
rows by least squares: within a layer each box goes as near to its neighbours as keeping the order
and the gaps allows (isotonic regression, by pooling adjacent violators). Edges of one source, or
into one target, share a lane.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, sqrt
from typing import NamedTuple

from jupyter_wf.formats.crossings import Item, uncross
from jupyter_wf.walks import in_order

ROW_GAP = 18.0
LANE = 7.0
COLUMN_GAP = 46.0
NARROW = 7

Point = tuple[float, float]
#: A neighbour, how much it pulls, and by how much it is to lie lower.
_Pull = tuple[Item, float, float]


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


class Part(NamedTuple):
    """Where a part of the boxes goes, and the routes of its edges, by their numbers."""

    places: dict[str, Point]
    routes: dict[int, tuple[Point, ...]]
    width: float
    height: float


class Block:
    """One connected part; an item is the name of a box, or a tuple for a lane in a layer.

    Parameters
    ----------
    boxes : mapping
        Name → box.
    edges : sequence of Edge
    numbers : sequence of int
        Under which the routes of the edges are returned.
    """

    def __init__(
        self, boxes: Mapping[str, Box], edges: Sequence[Edge], numbers: Sequence[int]
    ) -> None:
        self.boxes, self.edges, self.numbers = boxes, edges, numbers
        self.layer = self._layers()
        self.paths = self._paths()
        self.columns = self._columns()
        self.links = self._links()

    def place(self) -> Part:
        """Return where everything goes."""
        uncross(self.columns, self.links)
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
        routes: dict[int, tuple[Point, ...]] = {}
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
        return Part(places, routes, max(right), max(height, lowest))

    def _layers(self) -> dict[str, int]:
        before: dict[str, list[str]] = {name: [] for name in self.boxes}
        after: dict[str, list[str]] = {name: [] for name in self.boxes}
        for edge in self.edges:
            before[edge.target].append(edge.source)
            after[edge.source].append(edge.target)
        most = max(NARROW, ceil(1.4 * sqrt(len(self.boxes))))
        layer: dict[str, int] = {}
        filled: dict[int, int] = {}
        for name in in_order(self.boxes, before.__getitem__):
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

    def _paths(self) -> list[tuple[Item, ...]]:
        """Return for each edge the items that it passes: its source, lanes, its target."""
        leaving = Counter((edge.source, edge.exit) for edge in self.edges)
        arriving = Counter(edge.target for edge in self.edges)
        paths: list[tuple[Item, ...]] = []
        for edge in self.edges:
            fan_out = leaving[edge.source, edge.exit] >= arriving[edge.target]
            lane: tuple[Item, ...] = (
                ("from", edge.source, edge.exit) if fan_out else ("into", edge.target)
            )
            between = range(self.layer[edge.source] + 1, self.layer[edge.target])
            paths.append((edge.source, *((*lane, at) for at in between), edge.target))
        return paths

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
