"""Drives a live graph: performs its instructions, feeds stimuli back, tells the listeners.

Any thread may call. The live graph is touched under one lock; instructions are performed, in order
and without that lock, by whichever thread comes first; events are delivered by a thread of their
own (see `delivery`).
"""

from __future__ import annotations

import logging
import pickle
import time
from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Condition, RLock
from typing import Any

from jupyter_wf.encodings import Encoded, decode, encode
from jupyter_wf.engine.abc import Engine, Job, Store
from jupyter_wf.engine.collector import collector
from jupyter_wf.engine.delivery import Delivery
from jupyter_wf.engine.signals import (
    Cancel,
    Demand,
    Drop,
    Emit,
    Forget,
    HandOver,
    Instruction,
    Interrupt,
    Note,
    Provide,
    Recall,
    Remember,
    Snapshot,
    Stimulus,
    Submit,
    Tick,
)
from jupyter_wf.engine.state import KEEP, LiveGraph
from jupyter_wf.engine.writer import Writer
from jupyter_wf.errors import EngineError
from jupyter_wf.events import Event, Listener, TaskLog, TaskProgress
from jupyter_wf.records import Growth
from jupyter_wf.resources import Worker

logger = logging.getLogger("jupyter_wf.engine")
#: Bytes of small results that are kept here, beside the copies with the workers.
NEAR = 64_000_000
#: Bytes that each of them costs besides.
BESIDES = 1000


class LiveEngine(Engine):
    """An engine on a live graph; a subclass says how instructions reach its machines.

    Parameters
    ----------
    keep : int
        Bytes of durable values nobody reads now which may stay in the workers' memory.
    speculate : float
        After how many times the usual time a task gets a copy elsewhere; 0 for never.
    """

    def __init__(self, keep: int = KEEP, speculate: float = 0.0) -> None:
        self._keep = keep
        self._speculate = speculate
        self._store: Store | None = None
        self._graph: LiveGraph | None = None
        self._writer: Writer | None = None
        self._lock = RLock()
        self._done = Condition(self._lock)
        self._delivery = Delivery(self._lock, self._done, self._due, lambda: self.hear(Tick()))
        self._outbox: list[Instruction] = []
        self._performing = False
        self._busy = False
        self._held: dict[str, Encoded] = {}
        self._near: OrderedDict[str, Encoded] = OrderedDict()
        self._near_bytes = 0
        self._broken: str | None = None
        self._closed = False

    # -- what machines do; called in order, never under the lock, and must not block ------------

    @abstractmethod
    def _hand_over(self, order: HandOver) -> None: ...

    @abstractmethod
    def _interrupt(self, order: Interrupt) -> None: ...

    @abstractmethod
    def _provide(self, order: Provide) -> None: ...

    @abstractmethod
    def _recall(self, order: Recall) -> None: ...

    @abstractmethod
    def _drop(self, order: Drop) -> None: ...

    @abstractmethod
    def _demand(self, order: Demand) -> None: ...

    @abstractmethod
    def _fetch(self, content: str, holders: tuple[str, ...]) -> Encoded | None: ...

    @abstractmethod
    def _shut(self) -> None: ...

    def _planned(self) -> tuple[Worker, ...]:
        """Return the workers that a first job would start, as far as known."""
        return ()

    #: Whether computed values are committed to the store.
    def _commits(self, store: Store) -> bool:
        return store.shared

    # -- Engine --------------------------------------------------------------------------------

    def start(self, store: Store) -> None:
        """Bind to a store; machines are started at the first job."""
        if self._graph is not None:
            raise EngineError("This engine is started already. Make one for each workflow.")
        self._store = store
        self._graph = LiveGraph(
            store.find_recipe,
            store.find,
            shared=self._commits(store),
            keep=self._keep,
            pooled=any(worker.partition for worker in self._planned()),
            speculate=self._speculate,
        )
        self._writer = Writer(store, self._wrote)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every batch of events; return the function that undoes this."""
        return self._delivery.subscribe(listener)

    def submit(self, jobs: Sequence[Job], known: Mapping[str, str], run: str = "") -> None:
        """Take on jobs; return at once."""
        store = self._store
        noted = [] if store is None else [store.growth(j.key) for j in jobs if j.requirements.cache]
        snapshots = tuple([self._snapshot(packed) for packed in noted if packed is not None])
        self.feed(Submit(tuple(jobs), known, run, tuple(filter(None, snapshots))))

    def _snapshot(self, packed: bytes) -> Snapshot | None:
        """Return where a computation had come to, if all that it needs is here."""
        assert self._store is not None
        try:
            found: Snapshot = pickle.loads(packed)
        except Exception:  # noqa: BLE001 noted by another version: the task begins anew
            return None
        here = all(self._store.stored(content) is not None for content in found.known.values())
        return found if here else None

    def hold(self, content: str, value: Any) -> None:
        """Keep a value given from outside, when the store can't be shared with workers."""
        self._held[content] = encode(value)

    def cancel(self, tasks: Iterable[str]) -> None:
        """Stop tasks and all that need them, running ones included; return at once."""
        self.feed(Cancel(tuple(tasks)))

    def why(self, task: str) -> str:
        """Say what a task waits for; empty if it has ended, or waits for nothing."""
        with self._lock:
            if self._graph is None or self._broken:
                return self._broken or ""
            return self._graph.why(task, time.time())

    def busy(self, tasks: Iterable[str]) -> bool:
        """Whether any of these tasks is still to end."""
        with self._lock:
            if self._graph is None or self._broken or self._closed:
                return False
            held = self._graph.tasks
            return any(key in held and held[key].active for key in tasks)

    def not_running(self, tasks: Iterable[str]) -> tuple[str, ...]:
        """Return which of these tasks are still to end, and have no attempt under way."""
        with self._lock:
            held = self._live().tasks
            found = [held[key] for key in tasks if key in held]
            return tuple([n.job.key for n in found if n.active and not n.serial])

    def forget(self, tasks: Iterable[str]) -> None:
        """Drop finished tasks and their values from memory; what is stored stays stored."""
        self.feed(Forget(tuple(tasks)))

    def value(self, data: str) -> Any:
        """Return a computed value by the key of its data, from memory or from the store."""
        for last in (False, True):
            with self._lock:
                graph = self._live()
                datum = graph.values.data.get(data)
                if datum is None or datum.content is None:
                    raise EngineError(f"The value {data[:12]} is not computed. Run its task first.")
                source = graph.values.source(datum)
                near = self._near.get(source.content) or self._held.get(source.content)
            if near is not None:
                return decode(near)
            found = self._fetch(source.content, source.holders) if source.holders else None
            if found is not None:
                return decode(found)
            if source.durable and self._store is not None:
                return self._store.get(source.content)
            if last:
                break
        raise EngineError(
            f"The value {data[:12]} was lost with the worker that held it, and is computed again. "
            f"Wait for its task, then ask anew."
        )

    def offers(self) -> tuple[Worker, ...]:
        """Return the workers that are here, or that a first job would start, as far as known."""
        with self._lock:
            here = self._graph.workers() if self._graph is not None else ()
        return here or self._planned()

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until all that was computed is durable, and listeners know of it."""

        def done() -> bool:
            if self._broken or self._closed or self._graph is None:
                return True
            idle = self._writer is None or not self._writer.busy
            return not self._graph.writing and idle and self._delivery.up_to_date

        with self._lock:
            return self._done.wait_for(done, timeout) and not self._broken

    def close(self) -> None:
        """Give back leases, stop what was started here, and undo every subscription."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._shut()
        if self._writer is not None:
            self._writer.close()
        with self._lock:
            self._done.notify_all()
            self._mind(busy=False)
        self._delivery.close()
        with self._lock:
            self._held.clear()
            self._near.clear()

    # -- for machines --------------------------------------------------------------------------

    def feed(self, *stimuli: Stimulus) -> None:
        """Tell the live graph what happened, and have done what follows from it."""
        with self._lock:
            graph = self._live()
            for order in graph.handle(time.time(), *stimuli):
                if type(order) is Emit:
                    self._delivery.add(order.events, urgent=order.urgent)
                else:
                    self._outbox.append(order)
            self._mind(busy=graph.busy)
        self._drain()

    def hear(self, *stimuli: Stimulus) -> None:
        """Do as `feed`, for machines that may have more to say after the end: nobody listens."""
        try:
            self.feed(*stimuli)
        except EngineError:
            logger.debug("%d items of news came after the end.", len(stimuli))

    def tell(self, serial: int, stream: str, what: Any) -> None:
        """Tell listeners what a body has written, or if `what` is a tuple, how far it is."""
        task = self.task_of(serial)
        if task is None:
            return
        if isinstance(what, tuple):
            self.publish(TaskProgress(time.time(), task, *what))
        else:
            self.publish(TaskLog(time.time(), task, stream, what))

    def _mind(self, *, busy: bool) -> None:
        """Have garbage looked for less often while tasks are under way."""
        if busy is not self._busy:
            self._busy = busy
            if busy:
                collector.enter()
            else:
                collector.leave()

    def publish(self, *events: Event) -> None:
        """Tell listeners what does not concern the live graph."""
        with self._lock:
            self._delivery.add(events)

    def task_of(self, serial: int) -> str | None:
        """Return the task whose current attempt this is."""
        with self._lock:
            return None if self._graph is None else self._graph.task_of(serial)

    def keep_near(self, values: Iterable[Encoded]) -> None:
        """Keep small results that came with an answer, the newest first."""
        with self._lock:
            for value in values:
                if value.id not in self._near:
                    self._near[value.id] = value
                    self._near_bytes += value.nbytes + BESIDES
            while self._near_bytes > NEAR:
                self._near_bytes -= self._near.popitem(last=False)[1].nbytes + BESIDES

    def fail(self, why: str) -> None:
        """Say that the machines are out of reach for good: all calls raise from now on."""
        with self._lock:
            if self._broken or self._closed:
                return
            graph = self._live()
            keys = tuple(key for key, node in graph.tasks.items() if node.active)
            for order in graph.handle(time.time(), Cancel(keys, why)):
                if type(order) is Emit:
                    self._delivery.add(order.events)
            self._broken = why
            self._mind(busy=False)
        logger.error("%s", why)

    def _wrote(self, stimuli: list[Stimulus]) -> None:
        if stimuli:
            self.hear(*stimuli)
        with self._lock:
            self._done.notify_all()

    def _live(self) -> LiveGraph:
        if self._closed:
            raise EngineError("This engine is closed. Make a new one.")
        if self._broken:
            raise EngineError(self._broken)
        if self._graph is None:
            raise EngineError("This engine has no store yet. Call start(store) first.")
        return self._graph

    # -- performing ----------------------------------------------------------------------------

    def _drain(self) -> None:
        while True:
            with self._lock:
                if self._performing or not self._outbox:
                    return
                self._performing = True
                orders, self._outbox = self._outbox, []
            try:
                for order in orders:
                    self._perform(order)
            finally:
                with self._lock:
                    self._performing = False

    def _perform(self, order: Instruction) -> None:
        match order:
            case HandOver():
                self._hand_over(order)
            case Interrupt():
                self._interrupt(order)
            case Provide():
                self._provide(order)
            case Recall():
                self._recall(order)
            case Drop():
                self._drop(order)
            case Demand():
                self._demand(order)
            case Note():
                assert self._writer is not None
                packed = pickle.dumps(order.snapshot, protocol=5)
                self._writer.put(0, Growth(order.snapshot.key, packed), {})
            case Remember():
                assert self._writer is not None
                self._writer.put(0, order.record, {})

    # -- the clock -----------------------------------------------------------------------------

    def _due(self) -> float | None:
        """Return seconds until the live graph wants to know the time."""
        if self._graph is None or self._broken or self._closed:
            return None
        at = self._graph.deadline()
        return None if at is None else at - time.time()
