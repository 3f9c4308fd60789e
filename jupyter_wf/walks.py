"""Walks through a directed graph, which is given as a function from a name to its neighbours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from jupyter_wf.errors import CycleError

Neighbours = Callable[[str], Iterable[str]]


def reachable(start: Iterable[str], step: Neighbours) -> frozenset[str]:
    """Return all that can be reached from `start`, without `start` itself.

    Examples
    --------
    >>> sorted(reachable("a", {"a": "bc", "b": "c", "c": ""}.__getitem__))
    ['b', 'c']
    """
    begun = tuple(start)
    seen: set[str] = set()
    todo = list(begun)
    while todo:
        for name in step(todo.pop()):
            if name not in seen:
                seen.add(name)
                todo.append(name)
    return frozenset(seen) - frozenset(begun)


def in_order(names: Iterable[str], before: Neighbours) -> tuple[str, ...]:
    """Return names, each after those `before` it, chains together; ties in the order given.

    Raises `CycleError` that names the tasks of a cycle.

    Examples
    --------
    >>> in_order("abc", {"a": "c", "b": "", "c": "b"}.__getitem__)
    ('b', 'c', 'a')
    """
    done: dict[str, None] = {}
    path: dict[str, Iterator[str]] = {}
    for root in names:
        if root in done:
            continue
        path[root] = iter(before(root))
        while path:
            name = next(reversed(path))
            for parent in path[name]:
                if parent in path:
                    found = [*path]
                    raise _cycle(found[found.index(parent) :][::-1])
                if parent not in done:
                    path[parent] = iter(before(parent))
                    break
            else:
                del path[name]
                done[name] = None
    return tuple(done)


def check_no_way_back(start: str, before: Neighbours) -> None:
    """Raise `CycleError` if `start` is among what is before it."""
    came_from: dict[str, str] = {}
    todo = [start]
    while todo:
        name = todo.pop()
        for parent in before(name):
            if parent == start:
                path = [name]
                while path[-1] != start:
                    path.append(came_from[path[-1]])
                raise _cycle(path)
            if parent not in came_from:
                came_from[parent] = name
                todo.append(parent)


def _cycle(path: list[str]) -> CycleError:
    """Return the error that names the tasks of a cycle."""
    names = " → ".join(repr(name) for name in [*path, path[0]])
    return CycleError(f"These tasks would depend on themselves: {names}. Remove one of the inputs.")
