"""Write-behind: one thread commits what leases computed, many attempts in one commit."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from threading import Condition, Thread
from typing import Any, Protocol

from jupyter_wf.encodings import Encoded
from jupyter_wf.engine.signals import Durable, Stimulus, Unstored
from jupyter_wf.records import Item

logger = logging.getLogger("jupyter_wf.engine")
#: Bytes that may wait to be written before whoever computes has to wait as well.
ROOM = 512_000_000
GROUP = 1000
#: Seconds after a commit in which the next one waits for company: many small ones cost a core.
PAUSE = 0.02
GROUP_BYTES = 64_000_000

Entry = tuple[int, Item, Mapping[str, Encoded]]


class Commits(Protocol):
    """The part of a `Store` that a writer needs."""

    def commit(self, batch: Sequence[tuple[Item, Mapping[str, Any]]], owner: str = "") -> None:
        """Write values and then their records."""


class Writer:
    """Commits records with their values, in groups, on a thread of its own.

    Parameters
    ----------
    store : Store
        Only its ``commit`` is used.
    told : callable
        Takes the `Durable` and `Unstored` of each group; called on the writer's thread.
    room : int
        Bytes that may wait; `put` blocks while more do.
    """

    def __init__(
        self, store: Commits, told: Callable[[list[Stimulus]], None], room: int = ROOM
    ) -> None:
        self._store = store
        self._told = told
        self._room = room
        #: For whom it commits; see `Store.commit`.
        self.owner = ""
        self._queue: deque[Entry] = deque()
        self._bytes = 0
        self._working = False
        self._closed = False
        self._changed = Condition()
        self._thread: Thread | None = None

    @property
    def busy(self) -> bool:
        """Whether anything is not written yet."""
        return bool(self._queue) or self._working

    def put(self, serial: int, record: Item, values: Mapping[str, Encoded]) -> None:
        """Have a record and its values committed; serial 0 is nobody's attempt."""
        size = sum(value.nbytes for value in values.values())
        with self._changed:
            self._changed.wait_for(lambda: self._bytes < self._room or self._closed)
            self._queue.append((serial, record, values))
            self._bytes += size
            if self._thread is None and not self._closed:
                self._thread = Thread(target=self._write, name="jupyter-wf-writer", daemon=True)
                self._thread.start()
            if not self._working and (len(self._queue) == 1 or len(self._queue) >= GROUP):
                self._changed.notify_all()

    def close(self, timeout: float = 60.0) -> None:
        """Write what is waiting, and end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout)

    def _write(self) -> None:
        last = 0.0
        while True:
            with self._changed:
                self._working = False
                self._changed.wait_for(lambda: self._queue or self._closed)
                pause = last + PAUSE - time.monotonic()
                if pause > 0:
                    full = lambda: self._closed or len(self._queue) >= GROUP  # noqa: E731
                    self._changed.wait_for(full, pause)
                if not self._queue:
                    return
                group, size = self._take()
                self._working = True
            told = self._commit(group)
            last = time.monotonic()
            with self._changed:
                self._bytes -= size
                self._working = bool(self._queue)
                self._changed.notify_all()
            self._told(told)

    def _take(self) -> tuple[list[Entry], int]:
        group: list[Entry] = []
        size = 0
        while self._queue and len(group) < GROUP and size < GROUP_BYTES:
            group.append(self._queue.popleft())
            size += sum(value.nbytes for value in group[-1][2].values())
        return group, size

    def _commit(self, group: list[Entry]) -> list[Stimulus]:
        try:
            self._store.commit([(record, values) for _, record, values in group], self.owner)
        except Exception as error:
            logger.exception("A commit of %d records failed.", len(group))
            if len(group) > 1:
                # One of them may be to blame: the others need not suffer for it.
                return [told for entry in group for told in self._commit([entry])]
            serial = group[0][0]
            return [Unstored(serial, f"{type(error).__name__}: {error}")] if serial else []
        return [Durable(serial) for serial, _, _ in group if serial]
