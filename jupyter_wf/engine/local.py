"""Threads of this process, values in its memory: the reference implementation of an engine.

A thread can't be ended from outside. So a task in a long C call, once cancelled, is abandoned: its
thread is replaced, and what it returns in the end is ignored.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from threading import Lock, Thread
from typing import Any
from uuid import uuid4

from jupyter_wf.encodings import Encoded
from jupyter_wf.engine.abc import Store
from jupyter_wf.engine.family import InputLostError
from jupyter_wf.engine.hands import Hands
from jupyter_wf.engine.output import redirection
from jupyter_wf.engine.runner import LiveEngine
from jupyter_wf.engine.signals import (
    Demand,
    Drop,
    HandOver,
    Interrupt,
    LeaseEnded,
    LeaseJoined,
    Provide,
    Recall,
    Source,
    Unrun,
)
from jupyter_wf.engine.state import KEEP
from jupyter_wf.engine.worker import Bench
from jupyter_wf.errors import EngineError, StoreError
from jupyter_wf.events import WorkerChanged
from jupyter_wf.resources import WHOLE, Offer, Words, Worker, idle, offer_of


class LocalEngine(LiveEngine):
    """Runs tasks in threads of this process.

    Parameters
    ----------
    workers : int
        Threads that belong to no partition.
    partitions : mapping, optional
        Name → what it has, such as ``{"workers": 4, "gpu": 1, "memory": "8GiB", "license": 2}``;
        see `resources.offer_of`. The devices exist in name only: nothing looks for them.
    """

    def __init__(
        self,
        workers: int = 2,
        partitions: Mapping[str, Words] | None = None,
        *,
        keep: int = KEEP,
    ) -> None:
        super().__init__(keep)
        if workers < 1 and not partitions:
            raise EngineError("An engine needs at least one worker.")
        offers: dict[str | None, Words] = {}
        if workers:
            offers[None] = {"workers": workers}
        offers.update(partitions or {})
        self._offers = {
            f"local/{partition}" if partition else "local": (
                partition,
                offer_of(has, f"local/{partition}"),
            )
            for partition, has in offers.items()
        }
        self._memory: dict[str, Encoded] = {}
        self._hands: dict[str, Hands] = {}
        self._benches: list[Bench] = []
        self._gate = Lock()
        self._undo = redirection.install()

    def _commits(self, store: Store) -> bool:  # noqa: ARG002 - whatever it is, it is here
        return True

    def _planned(self) -> tuple[Worker, ...]:
        return tuple([idle(n, partition, offer) for n, (partition, offer) in self._offers.items()])

    def _demand(self, order: Demand) -> None:
        if order.tasks and not self._benches:
            for name, (partition, offer) in self._offers.items():
                self._open(name, partition, offer)

    def _open(self, name: str, partition: str | None, offer: Offer) -> None:
        count = offer.cpu // WHOLE
        bench = Bench(name, self._memory, self._find, self._writer, self.tell, copies=False)
        self._benches.append(bench)
        self.publish(WorkerChanged(time.time(), name, "joined", name, count))
        for _ in range(count):
            self._lease(bench, partition, offer)

    def _lease(self, bench: Bench, partition: str | None, offer: Offer) -> None:
        nonce = uuid4().hex
        hands = Hands(bench, nonce, self._answer)
        with self._gate:
            self._hands[nonce] = hands
        Thread(target=hands.work, name=f"jupyter-wf-{bench.name}", daemon=True).start()
        self.hear(LeaseJoined(nonce, bench.name, partition, offer))

    def _answer(self, answers: list[Any]) -> None:
        self.hear(*[answer for answer, _ in answers])

    def _find(self, source: Source) -> Encoded:
        held = self._held.get(source.content)
        if held is not None:
            return held
        assert self._store is not None
        try:
            return self._store.encoded(source.content)
        except StoreError:
            raise InputLostError(source.content) from None

    def _hand_over(self, order: HandOver) -> None:
        with self._gate:
            hands = self._hands.get(order.nonce)
        if hands is not None:
            hands.take(order.attempts)

    def _interrupt(self, order: Interrupt) -> None:
        with self._gate:
            hands = self._hands.get(order.nonce)
            if hands is not None and order.hard:
                del self._hands[order.nonce]
        if hands is None:
            return
        if not order.hard:
            hands.stop(order.serial)
            return
        hands.end()
        self.hear(LeaseEnded(order.nonce))
        bench = next(bench for bench in self._benches if bench.name == order.worker)
        self._lease(bench, *self._offers[order.worker])

    def _provide(self, order: Provide) -> None:
        with self._gate:
            hands = self._hands.get(order.nonce)
        if hands is not None:
            hands.provide(order.serial, order.data, order.source, order.failure)

    def _recall(self, order: Recall) -> None:
        with self._gate:
            hands = self._hands.get(order.nonce)
        serials = hands.empty() if hands is not None else ()
        if serials:
            self.hear(Unrun(order.nonce, serials))

    def _drop(self, order: Drop) -> None:
        for content in order.contents:
            self._memory.pop(content, None)

    def _fetch(self, content: str, _: tuple[str, ...]) -> Encoded | None:
        return self._memory.get(content)

    def executions(self) -> Counter[str]:
        """Count, by name, the task bodies that this engine has run."""
        total: Counter[str] = Counter()
        for bench in self._benches:
            total.update(bench.executions)
        return total

    def _shut(self) -> None:
        with self._gate:
            hands, self._hands = [*self._hands.values()], {}
        for one in hands:
            one.empty()
            one.stop_all()
            one.end()
        for bench in self._benches:
            bench.processes.close()
            self.publish(WorkerChanged(time.time(), bench.name, "left", bench.name))
        self._undo()
