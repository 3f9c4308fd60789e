"""Threads of this process, values in its memory: the reference implementation of an engine.

A thread can't be ended from outside. So a task in a long C call, once cancelled, is abandoned: its
thread is replaced, and what it returns in the end is ignored.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Mapping
from threading import Lock, Thread
from typing import Any
from uuid import uuid4

from jupyter_wf.encodings import Encoded, encode
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
    Vector,
)
from jupyter_wf.engine.state import KEEP
from jupyter_wf.engine.worker import Bench
from jupyter_wf.errors import EngineError, StoreError
from jupyter_wf.events import TaskLog, TaskProgress, WorkerChanged

logger = logging.getLogger("jupyter_wf.engine")


class LocalEngine(LiveEngine):
    """Runs tasks in threads of this process.

    Parameters
    ----------
    workers : int
        Threads that serve any partition which is not listed.
    partitions : mapping, optional
        Name → ``{"workers": threads, "gpu": devices, "memory": megabytes}``.
    """

    def __init__(
        self,
        workers: int = 2,
        partitions: Mapping[str, Mapping[str, float]] | None = None,
        *,
        keep: int = KEEP,
    ) -> None:
        super().__init__(keep)
        if workers < 1 and not partitions:
            raise EngineError("An engine needs at least one worker.")
        self._partitions: dict[str | None, Mapping[str, float]] = {None: {"workers": workers}}
        self._partitions.update(partitions or {})
        self._memory: dict[str, Encoded] = {}
        self._hands: dict[str, Hands] = {}
        self._benches: list[Bench] = []
        self._gate = Lock()
        self._undo = redirection.install()

    def _commits(self, store: Store) -> bool:  # noqa: ARG002 - whatever it is, it is here
        return True

    def _demand(self, order: Demand) -> None:
        if order.tasks and not self._benches:
            for partition in self._partitions:
                self._open(partition)

    def _open(self, partition: str | None) -> None:
        has = self._partitions[partition]
        count = int(has.get("workers", 1))
        name = f"local/{partition}" if partition else "local"
        bench = Bench(name, self._memory, self._find, self._writer, self._tell, copies=False)
        self._benches.append(bench)
        gpu, memory = round(1000 * has.get("gpu", 0)), round(has.get("memory", 10**9))
        offer = Vector(1000 * count, gpu, memory)
        self.publish(WorkerChanged(time.time(), name, "joined", name, count))
        for _ in range(count):
            self._lease(bench, partition, offer)

    def _lease(self, bench: Bench, partition: str | None, offer: Vector) -> None:
        nonce = uuid4().hex
        hands = Hands(bench, nonce, self._answer)
        with self._gate:
            self._hands[nonce] = hands
        Thread(target=hands.work, name=f"jupyter-wf-{bench.name}", daemon=True).start()
        self.feed(LeaseJoined(nonce, bench.name, partition, offer))

    def _answer(self, answers: list[Any]) -> None:
        try:
            self.feed(*[answer for answer, _ in answers])
        except EngineError:
            logger.debug("%d answers came after the end.", len(answers))

    def _find(self, source: Source) -> Encoded:
        held = self._held.get(source.content)
        if held is not None:
            return held
        assert self._store is not None
        try:
            return encode(self._store.get(source.content))
        except StoreError:
            raise InputLostError(source.content) from None

    def _tell(self, serial: int, stream: str, what: object) -> None:
        task = self.task_of(serial)
        if task is None:
            return
        if isinstance(what, tuple):
            self.publish(TaskProgress(time.time(), task, *what))
        else:
            self.publish(TaskLog(time.time(), task, stream, str(what)))

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
        self.feed(LeaseEnded(order.nonce))
        bench = next(bench for bench in self._benches if bench.name == order.worker)
        partition = order.worker.partition("/")[2] or None
        has = self._partitions[partition]
        self._lease(
            bench,
            partition,
            Vector(
                1000 * int(has.get("workers", 1)),
                round(1000 * has.get("gpu", 0)),
                round(has.get("memory", 10**9)),
            ),
        )

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
            self.feed(Unrun(order.nonce, serials))

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
            self._news.append(WorkerChanged(time.time(), bench.name, "left", bench.name))
        self._undo()
