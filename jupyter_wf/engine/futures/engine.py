"""Processes of `concurrent.futures`, values in this one: the smallest engine that outlives workers.

An engine on a live graph needs two things of its machines. One is a place where a function may run
for as long as the engine likes: a lease, here the one task of a `ProcessPoolExecutor`. The other is
a channel between that function and the engine, here a pipe. What goes through it are the live
graph's own instructions and stimuli, so all that a lease can do, this one can.

Each lease has a pool of its own, because a pool breaks as a whole when one of its processes dies.
Every value comes to this process and goes out again with the attempts that read it, and this
process writes it to the store: what is simplest, and right for small values and one machine.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from contextlib import suppress
from threading import Lock, Thread
from typing import Any

from jupyter_wf.encodings import Encoded
from jupyter_wf.engine.abc import Store
from jupyter_wf.engine.futures.link import Link
from jupyter_wf.engine.runner import LiveEngine
from jupyter_wf.engine.signals import (
    Demand,
    Drop,
    HandOver,
    Interrupt,
    LeaseJoined,
    Provide,
    Recall,
    Source,
    Unrun,
    WorkerLost,
)
from jupyter_wf.engine.state import KEEP
from jupyter_wf.errors import EngineError, StoreError
from jupyter_wf.events import WorkerChanged
from jupyter_wf.resources import Offer, Worker, idle

#: Seconds that a process is given to end by itself.
GRACE = 2.0
#: What each process has: one core, and no devices.
OFFER = Offer(1000)


class FuturesEngine(LiveEngine):
    """Runs tasks in processes of `concurrent.futures`, started afresh when they die.

    As with any such pool, a script that uses it guards its main part by
    ``if __name__ == "__main__"``.

    Parameters
    ----------
    workers : int or None
        Processes; None is one for each core.
    keep : int
        Bytes of durable values nobody reads now which may stay in memory.
    """

    def __init__(self, workers: int | None = None, *, keep: int = KEEP) -> None:
        super().__init__(keep)
        self._count = (os.cpu_count() or 1) if workers is None else workers
        if self._count < 1:
            raise EngineError("An engine needs at least one worker.")
        self._links: dict[str, Link] = {}
        self._threads: dict[str, Thread] = {}
        self._numbers = 0
        self._memory: dict[str, Encoded] = {}
        self._holders: dict[str, set[str]] = {}
        self._gate = Lock()

    def _commits(self, store: Store) -> bool:  # noqa: ARG002 - whatever it is, it is written here
        return True

    def _planned(self) -> tuple[Worker, ...]:
        return tuple([idle(f"process-{i + 1}", None, OFFER) for i in range(self._count)])

    # -- processes that come, speak and go -----------------------------------------------------

    def _demand(self, order: Demand) -> None:
        for _ in range(self._count if order.tasks else 0):
            self._open()

    def _open(self) -> None:
        with self._gate:
            if self._closed or len(self._links) >= self._count:
                return
            self._numbers += 1
            link = Link(f"process-{self._numbers}")
            self._links[link.name] = link
            hear = Thread(target=self._hear, args=[link], name=f"jupyter-wf-{link.name}")
            hear.daemon = True
            self._threads[link.name] = hear
            hear.start()

    def _hear(self, link: Link) -> None:
        with suppress(EOFError, OSError):
            while (said := link.pipe.recv()) != ("ended",):
                self._take(link, *said)
        link.end()
        if self._closed:
            return
        why = f"worker {link.name} was lost: its process ended"
        with self._gate:
            del self._links[link.name], self._threads[link.name]
        self.publish(WorkerChanged(time.time(), link.name, "left", link.name, why=why))
        self._forget_worker(link.name)
        self.hear(WorkerLost(link.name, why))
        self._open()

    def _take(self, link: Link, op: str, *rest: Any) -> None:
        match op:
            case "joined":
                link.pid = rest[0]
                self.publish(WorkerChanged(time.time(), link.name, "joined", link.name, 1))
                self.hear(LeaseJoined(link.name, link.name, None, OFFER))
            case "answers":
                answers, written, values, link.executions = rest
                for value in values:
                    self._holders.setdefault(value.id, set()).add(link.name)
                    self._memory[value.id] = value
                for serial, record, made in written:
                    assert self._writer is not None
                    self._writer.put(serial, record, {one: self._memory[one] for one in made})
                self.hear(*answers)
            case "unrun":
                self.hear(Unrun(link.name, rest[0]))
            case "told":
                self.tell(*rest)

    def _forget_worker(self, name: str) -> None:
        for content, holders in [*self._holders.items()]:
            holders.discard(name)
            if not holders:
                del self._holders[content]
                self._memory.pop(content, None)

    # -- instructions --------------------------------------------------------------------------

    def _send(self, name: str, *item: Any) -> None:
        link = self._links.get(name)
        if link is not None:
            link.send(*item)

    def _hand_over(self, order: HandOver) -> None:
        sources = [source for attempt in order.attempts for source in attempt.sources]
        self._send(order.worker, "hand", order.attempts, self._inputs(order.worker, sources))

    def _provide(self, order: Provide) -> None:
        sources = [] if order.source is None else [order.source]
        values = self._inputs(order.worker, sources)
        self._send(
            order.worker, "provide", order.serial, order.data, order.source, order.failure, values
        )

    def _inputs(self, worker: str, sources: list[Source]) -> list[Encoded]:
        """Return the values that a worker needs and does not hold."""
        found: dict[str, Encoded] = {}
        for source in sources:
            if worker not in source.holders:
                with suppress(StoreError):
                    found[source.content] = self._find(source.content)
        return [*found.values()]

    def _find(self, content: str) -> Encoded:
        value = self._memory.get(content) or self._held.get(content)
        if value is None:
            assert self._store is not None
            value = self._store.encoded(content)
        return value

    def _interrupt(self, order: Interrupt) -> None:
        link = self._links.get(order.worker)
        if link is not None and order.hard:
            link.kill()
        elif link is not None:
            link.send("stop", order.serial)

    def _recall(self, order: Recall) -> None:
        self._send(order.worker, "recall")

    def _drop(self, order: Drop) -> None:
        self._send(order.worker, "drop", order.contents)
        for content in order.contents:
            holders = self._holders.get(content, set())
            holders.discard(order.worker)
            if not holders:
                self._holders.pop(content, None)
                self._memory.pop(content, None)

    def _fetch(self, content: str, _: tuple[str, ...]) -> Encoded | None:
        return self._memory.get(content)

    def executions(self) -> Counter[str]:
        """Count, by name, the task bodies that the processes now held have run."""
        total: Counter[str] = Counter()
        for link in [*self._links.values()]:
            total.update(link.executions)
        return total

    def _shut(self) -> None:
        with self._gate:
            links, threads = [*self._links.values()], {**self._threads}
        for link in links:
            link.send("end")
        for link in links:
            threads[link.name].join(GRACE)
            link.kill()
            threads[link.name].join(GRACE)
            self.publish(WorkerChanged(time.time(), link.name, "left", link.name))
