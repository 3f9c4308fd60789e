"""In which order to draw the items of neighbouring columns, so that few of their links cross.

By barycentres and by swapping neighbours, after Sugiyama, Tagawa and Toda (1981).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import pairwise

Item = Hashable


def uncross(columns: list[list[Item]], links: Iterable[tuple[Item, Item]]) -> None:
    """Reorder each column, in place, so that few links cross.

    Parameters
    ----------
    columns : list of list
        From left to right, the items from top to bottom.
    links : iterable of (item, item)
        From a column to the next.

    Examples
    --------
    >>> columns = [["a", "b"], ["x", "y"]]
    >>> uncross(columns, [("a", "y"), ("b", "x")])
    >>> columns
    [['a', 'b'], ['y', 'x']]
    """
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
