"""Tasks that could start, by what they need and in the order in which they may."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from itertools import islice

from jupyter_wf.engine.turns import Class, Place


class Ready:
    """Tasks whose inputs exist, by what they need: by priority, then as they were submitted."""

    def __init__(self) -> None:
        self._heaps: dict[Class, list[tuple[Place, str]]] = {}
        self._members: set[str] = set()

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, task: str) -> bool:
        return task in self._members

    def add(self, place: Place, task: str, where: Class) -> bool:
        """Add a task, in its `place` among all; say whether it is the first of its needs."""
        self._members.add(task)
        heap = self._heaps.get(where)
        if heap is None:
            self._heaps[where] = [(place, task)]
            return True
        heapq.heappush(heap, (place, task))
        return False

    def discard(self, task: str) -> None:
        """Remove a task, if it is here."""
        self._members.discard(task)

    def kinds(self) -> Iterable[Class]:
        """Return the kinds of need that tasks here have, and perhaps some that none has now."""
        return self._heaps.keys()

    def sample(self, count: int) -> list[str]:
        """Return at most `count` of the tasks, whichever."""
        return [*islice(self._members, count)]

    def classes(self) -> list[tuple[Place, Class]]:
        """Return the kinds of need that tasks here have, each with the place of its first task."""
        found = []
        for where in [*self._heaps]:
            first = self.first(where)
            if first is None:
                del self._heaps[where]
            else:
                found.append((first[0], where))
        return found

    def first(self, where: Class) -> tuple[Place, str] | None:
        """Return the first task with this need, and its place."""
        heap = self._heaps.get(where, [])
        while heap and heap[0][1] not in self._members:
            heapq.heappop(heap)
        return heap[0] if heap else None

    def members(self, where: Class) -> list[str]:
        """Return all tasks with this need."""
        return [task for _, task in self._heaps.get(where, ()) if task in self._members]

    def count(self, where: Class) -> int:
        """Return at most how many tasks have this need."""
        return len(self._heaps.get(where, ()))
