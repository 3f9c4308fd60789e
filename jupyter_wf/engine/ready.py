"""Tasks that could start, by what they need and in the order in which they may."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Container, Iterable, Iterator
from itertools import chain, islice

from jupyter_wf.engine.turns import Class, Place


class Queue:
    """Tasks of one need. Most come in the order in which they are to start; a heap has the rest."""

    def __init__(self) -> None:
        self._line: deque[tuple[Place, str]] = deque()
        self._heap: list[tuple[Place, str]] = []

    def __len__(self) -> int:
        return len(self._line) + len(self._heap)

    def __iter__(self) -> Iterator[str]:
        return (task for _, task in chain(self._line, self._heap))

    def add(self, place: Place, task: str) -> None:
        """Add a task."""
        if self._line and place < self._line[-1][0]:
            heapq.heappush(self._heap, (place, task))
        else:
            self._line.append((place, task))

    def first(self, members: Container[str]) -> tuple[Place, str] | None:
        """Return the first of those that are `members`; let go of the others before it."""
        line, heap = self._line, self._heap
        while line and line[0][1] not in members:
            line.popleft()
        while heap and heap[0][1] not in members:
            heapq.heappop(heap)
        if not (line and heap):
            return line[0] if line else heap[0] if heap else None
        return min(line[0], heap[0])


class Ready:
    """Tasks whose inputs exist, by what they need: by priority, then as they were submitted."""

    def __init__(self) -> None:
        self._queues: dict[Class, Queue] = {}
        self._members: set[str] = set()

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, task: str) -> bool:
        return task in self._members

    def add(self, place: Place, task: str, where: Class) -> bool:
        """Add a task, in its `place` among all; say whether it is the first of its needs."""
        self._members.add(task)
        queue = self._queues.get(where)
        if queue is None:
            queue = self._queues[where] = Queue()
        queue.add(place, task)
        return len(queue) == 1

    def discard(self, task: str) -> None:
        """Remove a task, if it is here."""
        self._members.discard(task)

    def kinds(self) -> Iterable[Class]:
        """Return the kinds of need that tasks here have, and perhaps some that none has now."""
        return self._queues.keys()

    def sample(self, count: int) -> list[str]:
        """Return at most `count` of the tasks, whichever."""
        return [*islice(self._members, count)]

    def classes(self) -> list[tuple[Place, Class]]:
        """Return the kinds of need that tasks here have, each with the place of its first task."""
        found = []
        for where in [*self._queues]:
            first = self.first(where)
            if first is None:
                del self._queues[where]
            else:
                found.append((first[0], where))
        return found

    def first(self, where: Class) -> tuple[Place, str] | None:
        """Return the first task with this need, and its place."""
        queue = self._queues.get(where)
        return None if queue is None else queue.first(self._members)

    def members(self, where: Class) -> list[str]:
        """Return all tasks with this need."""
        return [task for task in self._queues.get(where, ()) if task in self._members]

    def count(self, where: Class) -> int:
        """Return at most how many tasks have this need."""
        return len(self._queues.get(where, ()))
