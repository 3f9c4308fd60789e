"""The engine on a Dask cluster: leases come and go with demand, streams carry the work."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from functools import partial
from threading import Thread
from typing import Any, Literal
from uuid import uuid4

from distributed import Client, Security

from jupyter_wf.encodings import Encoded
from jupyter_wf.engine.abc import Store
from jupyter_wf.engine.dask import health
from jupyter_wf.engine.dask.cluster import embedded, planned
from jupyter_wf.engine.dask.contact import failure, find, reach
from jupyter_wf.engine.dask.fair import key_of
from jupyter_wf.engine.dask.large import receive
from jupyter_wf.engine.dask.lease import CAME, HERE, LeasePlugin
from jupyter_wf.engine.dask.link import Link
from jupyter_wf.engine.dask.pin import TOPIC, pin
from jupyter_wf.engine.dask.slots import Slots
from jupyter_wf.engine.dask.wire import answer_in
from jupyter_wf.engine.runner import LiveEngine
from jupyter_wf.engine.signals import (
    Demand,
    Drop,
    Durable,
    HandOver,
    Interrupt,
    LeaseEnded,
    LeaseJoined,
    Leaving,
    Provide,
    Recall,
    Stimulus,
    Suspect,
    Unrun,
    Unstored,
    WorkerJoined,
    WorkerLost,
)
from jupyter_wf.engine.state import KEEP
from jupyter_wf.errors import EngineError
from jupyter_wf.events import TaskLog, TaskProgress, WorkerChanged, WorkerSample
from jupyter_wf.resources import Offer, Words, Worker

logger = logging.getLogger("jupyter_wf.engine")
LOOK = 1.0
#: Most seconds for which to wait for what a worker offers before any is asked for slots: a task
#: that names a partition must not start elsewhere because those that declare one came last.
OFFERED = 1.0
#: Seconds without a scheduler after which it is held to be lost.
LOST = 3.0
#: Seconds for which one whose stream is open may take to answer.
SLOW = 30.0
#: Seconds without a word after which a worker is suspected, and its nanny is asked.
SILENT = 3.0
IDLE = 10.0
#: Part of its memory limit from which a worker that dies is taken to have died of it.
FULL = 0.85
#: Seconds that the word of a nanny which ended its worker may come after that worker's end.
TOLD = 0.1
#: Seconds of work that is worth a slot of a worker which is started for it.
HORIZON = 5.0


class DaskEngine(LiveEngine):
    """Runs tasks in leases on the workers of a Dask cluster.

    Parameters
    ----------
    target : str, Client, Cluster or None
        Address of a scheduler (``tcp://…``, ``tls://…``), a ``distributed.Client``, any Dask
        cluster object, or None for a cluster of our own on this machine, started at the first job.
    workers : int or None
        Worker processes of an embedded cluster (None: one per core); elsewhere the most slots to
        ask for (None: as many as the cluster has threads).
    security : distributed.Security or None
        For an address.
    share : float
        What this session gets of the slots, against the 1 of others that want them as well.
    idle : float or None
        Seconds without work after which slots are given back; None keeps them, which is the
        default where the cluster is our own.
    partitions : mapping, optional
        Of an embedded cluster, beside its other workers: name → what it has, such as
        ``{"workers": 2, "gpu": 1, "memory": "8GiB", "license": 1}``. Its worker processes share its
        devices; the rest is of each of them. Of other clusters, the workers say it themselves; see
        `engine.dask.offering`.
    silent : float
        Seconds without a word after which a worker is handed nothing more, and its nanny is asked.
        One that is stopped, or whose nanny does not answer within as long again, is given up: what
        it had is done elsewhere, and what it says later is not heard.
    speculate : float
        After how many times the usual time of its code a task gets a copy on another worker that
        has nothing to do; the first answer counts. 0 for never: a body's effects outside its
        outputs would happen twice.
    """

    def __init__(
        self,
        target: Any = None,
        workers: int | None = None,
        *,
        security: Security | None = None,
        share: float = 1.0,
        idle: float | None = IDLE,
        partitions: Mapping[str, Words] | None = None,
        silent: float = SILENT,
        speculate: float = 0.0,
        keep: int = KEEP,
    ) -> None:
        super().__init__(keep, speculate)
        self._target = target
        self._workers = workers
        self._partitions = partitions or {}
        self._security = security
        if share <= 0:
            raise EngineError(f"A share of {share:g} is no share. Give a number above 0.")
        self._share = share
        self._idle = idle if target is not None else None
        self._silent = silent
        self._session = uuid4().hex[:12]
        HERE.add(self._session)
        self._cluster: Any = None
        self._client: Any = None
        self._loop: Any = None
        self._starter: Thread | None = None
        self._watcher: Any = None
        self._links: dict[str, Link] = {}
        self._seen: dict[str, float] = {}
        self._away: dict[str, float] = {}
        self._slots: Slots | None = None
        self._look = asyncio.Event()
        #: Addresses of workers whose nannies ended them because of their memory.
        self._restarted: set[str] = set()

    # -- starting ------------------------------------------------------------------------------

    def start(self, store: Store) -> None:
        """Bind to a store, and connect to the cluster unless it is our own, which starts late.

        Raises
        ------
        EngineError
            Started before; or the cluster can't be reached, which closes this engine.
        """
        super().start(store)
        if self._target is None:
            return
        try:
            self._connect()
        except Exception as error:
            self.close()
            raise EngineError(failure(self._target, error)) from error

    def _demand(self, order: Demand) -> None:
        if self._starter is None:
            self._starter = Thread(target=self._start, name="jupyter-wf-start", daemon=True)
            self._starter.start()
        elif self._slots is not None and self._slots.short(order.tasks):
            self._loop.call_soon_threadsafe(self._slots.settle)

    def _start(self) -> None:
        try:
            if self._client is None:
                self._connect()
            self._begin()
        except Exception as error:
            if not self._closed:
                logger.debug("The engine did not start.", exc_info=True)
                self.fail(failure(self._target, error))

    def _connect(self) -> None:
        target = self._target
        if target is None:
            target = self._cluster = embedded(self._workers, self._partitions)
        address, security = find(target, self._security)
        reach(address, security)
        client = Client(address, security=security, set_as_default=False)
        self._client = client
        client.register_plugin(LeasePlugin())
        if self._target is not None:
            try:
                client.sync(client.scheduler.register_scheduler_plugin, **pin())
            except ValueError as error:  # it takes no pickles
                logger.info("The cluster may scale less than it could: %s", error)

    def _planned(self) -> tuple[Worker, ...]:
        return planned(self._workers, self._partitions) if self._target is None else ()

    def _begin(self) -> None:
        """Look for workers, of which listeners want to hear, and ask them for slots."""
        client = self._client
        own = self._target is None
        slots = Slots(
            client,
            self._session,
            self._store_url,
            self._in_demand,
            share=self._share,
            most=None if own else self._workers,
            idle=self._idle,
            waits=not own,
        )
        # The client calls these on its loop.
        client.subscribe_topic(f"wf-{self._session}", lambda event: self._open(event[1]["worker"]))
        client.subscribe_topic("worker-restart-memory", self._restarts)
        client.subscribe_topic(CAME, lambda _: self._look.set())
        if not own:
            client.subscribe_topic(TOPIC, lambda _: slots.scales())
            if client.get_events(TOPIC):
                slots.scales()
        self._loop = client.loop.asyncio_loop
        self._watcher = asyncio.run_coroutine_threadsafe(self._look_after(slots), self._loop)
        self._slots = slots

    async def _look_after(self, slots: Slots) -> None:
        connection = self._client.security.get_connection_args("client")
        vigil = health.Vigil(self._links, self._silent, connection, self._suspect)
        keeping = asyncio.create_task(vigil.keep())
        try:
            await self._watch(slots)
        finally:
            keeping.cancel()

    async def _watch(self, slots: Slots) -> None:
        """Look after the cluster: the scheduler, workers that came, the slots that they have."""
        lost: float | None = None
        identity: dict[str, Any] = {}
        while not self._closed:
            asked = time.monotonic()
            try:
                identity = await asyncio.wait_for(self._client.scheduler.identity(), LOST)
                running = self._client.status == "running"
            except (TimeoutError, OSError):
                running = False
            if running:
                lost = None
                self._away = {a: at for a, at in self._away.items() if a in identity["workers"]}
                for address, about in identity["workers"].items():
                    self._seen[address] = about["last_seen"]
                    # One that was given up is tried again when Dask has heard of it.
                    if self._away.get(address) != about["last_seen"]:
                        self._away.pop(address, None)
                        self._open(address, about)
                left = {a: w for a, w in identity["workers"].items() if a not in self._away}
                slots.ask_only([*left] if self._away else None)
                if self._know_all():
                    slots.count(left.values())
                    slots.settle()
            else:
                lost = lost or asked
                # A client sees at once that a scheduler has ended; one that is only slow is busy.
                patience = SLOW if self._client.status == "running" else LOST
                if time.monotonic() - lost > patience or self._client.status == "closed":
                    where = getattr(self._client.scheduler, "address", "")
                    self.fail(
                        f"The Dask scheduler {where} does not answer any more. Values that are "
                        f"stored are safe; connect to another cluster and run again."
                    )
                    return
            with suppress(TimeoutError):
                await asyncio.wait_for(self._look.wait(), LOOK if slots.capacity else LOOK / 20)
            self._look.clear()

    def _know_all(self) -> bool:
        """Whether all workers have said what they offer, or had the time to."""
        latest = time.monotonic() - OFFERED
        return all(link.offer is not None or link.born < latest for link in self._links.values())

    def _in_demand(self) -> tuple[int, int]:
        with self._lock:
            if self._closed or self._broken or self._graph is None:
                return 0, 0
            return self._graph.demand, self._graph.slots(HORIZON)

    @property
    def _store_url(self) -> str | None:
        store = self._store
        return store.url if store is not None and store.shared else None

    # -- workers -------------------------------------------------------------------------------

    def _open(self, address: str, about: Any = None) -> None:
        link = self._links.get(address)
        if link is None:
            link = self._links[address] = Link(address, self._client.loop.asyncio_loop, self._heard)
            asyncio.ensure_future(self._keep_open(link))  # noqa: RUF006 - the link is kept
        if about is not None and not link.known:
            link.known = True
            link.name, link.nanny = str(about["name"]), about["nanny"]
            link.threads = about["nthreads"]
            self._tell_of(link, "joined")

    async def _keep_open(self, link: Link) -> None:
        connection = self._client.security.get_connection_args("client")
        why = await link.run(self._session, self._store_url, connection)
        self._links.pop(link.address, None)
        if self._closed:
            return
        self._away[link.address] = self._seen.get(link.address, 0.0)
        if link.given_up and self._slots is not None:
            self._slots.lost(link.leases)
            self._look.set()
        if self._store is not None:
            # What it committed, though it could not say so any more, need not run again.
            await asyncio.to_thread(self._store.refresh)
        starved = link.nanny is not None and await self._starved(link)
        why = f"worker {link.name} was lost: {'it used up its memory' if starved else why}"
        self.publish(WorkerChanged(time.time(), link.address, "left", link.name, why=why))
        self._feed(WorkerLost(link.address, why, starved))

    async def _starved(self, link: Link) -> bool:
        """Whether a worker that is gone was ended for its memory, by its nanny or the system."""
        if link.full >= FULL:
            return True
        if link.address not in self._restarted:
            await asyncio.sleep(TOLD)
        return link.address in self._restarted

    def _restarts(self, event: Any) -> None:
        self._restarted.add(event[1]["worker"])

    def _suspect(self, link: Link) -> None:
        self._tell_of(link, "suspect", f"not heard for {self._silent:g} s")
        self._feed(Suspect(link.address, silent=True))

    def _tell_of(
        self, link: Link, state: Literal["joined", "suspect", "leaving"], why: str = ""
    ) -> None:
        now = time.time()
        self.publish(WorkerChanged(now, link.address, state, link.name, link.threads, why))

    def _heard(self, link: Link, items: list[tuple[Any, ...]]) -> None:
        stimuli: list[Stimulus] = []
        if link.suspect:
            link.suspect = False
            self._tell_of(link, "joined")
            stimuli.append(Suspect(link.address, silent=False))
        near: list[Encoded] = []
        for item in items:
            match item[0]:
                case "code":
                    link.learnt[item[1]] = item[2]
                case "answers":
                    for parts in item[1]:
                        answer, small = answer_in(parts, link.learnt)
                        near += small
                        stimuli.append(answer)
                case "durable":
                    stimuli.extend([Durable(serial) for serial in item[1]])
                case "unstored":
                    stimuli.append(Unstored(*item[1:]))
                case "offer" | "joined" | "ended":
                    stimuli.append(self._came_or_went(link, *item))
                case "unrun":
                    stimuli.append(Unrun(*item[1:]))
                case "leaving":
                    self._tell_of(link, "leaving")
                    stimuli.append(Leaving(link.address))
                case "told":
                    self._pass_on(*item[1:])
                case "sample":
                    link.full = item[2] / item[3] if item[3] else 0.0
                    self.publish(WorkerSample(time.time(), link.address, *item[1:]))
        if near:
            self.keep_near(near)
        if stimuli:
            self._feed(*stimuli)

    def _came_or_went(self, link: Link, what: str, *about: Any) -> Stimulus:
        """Take note of what a worker says of itself and its slots."""
        if what == "offer":
            link.partition, link.offer = about
            self._look.set()
            return WorkerJoined(link.address, link.partition, link.offer)
        key = key_of(about[0])
        if what == "ended":
            link.leases.discard(key)
            if self._slots is not None:
                # Once what it had in its hands counts as ready again.
                self._loop.call_soon(self._slots.ended, key)
            return LeaseEnded(about[0])
        if self._slots is not None:
            self._slots.joined(key)
        link.leases.add(key)
        return LeaseJoined(about[0], link.address, link.partition, link.offer or Offer())

    def _pass_on(self, serial: int, stream: str, what: Any) -> None:
        task = self.task_of(serial)
        if task is None:
            return
        if isinstance(what, tuple):
            self.publish(TaskProgress(time.time(), task, *what))
        else:
            self.publish(TaskLog(time.time(), task, stream, what))

    def _feed(self, *stimuli: Stimulus) -> None:
        try:
            self.feed(*stimuli)
        except EngineError:
            logger.debug("%d items of news came after the end.", len(stimuli))

    # -- instructions --------------------------------------------------------------------------

    def _hand_over(self, order: HandOver) -> None:
        link = self._links.get(order.worker)
        if link is None:
            return
        values: dict[str, Encoded] = {}
        for attempt in order.attempts:
            for source in attempt.sources:
                if order.worker not in source.holders and source.content not in values:
                    value = self._to_send(source.content, elsewhere=bool(source.holders))
                    if value is not None:
                        values[source.content] = value
        link.hand(order, values.values())

    def _to_send(self, content: str, *, elsewhere: bool) -> Encoded | None:
        """Return a value that must, or had better, travel with the attempt that reads it."""
        found = self._near.get(content) or self._held.get(content)
        if found is not None or elsewhere or self._store is None or self._store.shared:
            return found
        found = self._held[content] = self._store.encoded(content)
        return found

    def _interrupt(self, order: Interrupt) -> None:
        link = self._links.get(order.worker)
        if link is None:
            return
        if not order.hard:
            link.send(("stop", order.nonce, order.serial))
        else:
            asyncio.run_coroutine_threadsafe(self._kill(link), self._loop)

    async def _kill(self, link: Link) -> None:
        """End a worker's process, by its nanny, which starts another; save first what can be."""
        if link.nanny is None:
            logger.error(
                "A task on %s does not stop, and the worker has no nanny to restart it. Restart "
                "the worker.",
                link.name,
            )
            return
        try:
            flushed = self._client.rpc(link.address).wf_flush(session=self._session)
            await asyncio.wait_for(flushed, 2.0)
        except (TimeoutError, OSError):
            logger.debug("%s does not answer, and is ended as it is.", link.name)
        connection = self._client.security.get_connection_args("client")
        await health.end(link.nanny, connection)

    def _provide(self, order: Provide) -> None:
        link = self._links.get(order.worker)
        if link is not None:
            source = None if order.source is None else tuple(order.source)
            link.send(("provide", order.nonce, order.serial, order.data, source, order.failure))

    def _recall(self, order: Recall) -> None:
        link = self._links.get(order.worker)
        if link is not None:
            link.send(("recall", order.nonce))

    def _drop(self, order: Drop) -> None:
        link = self._links.get(order.worker)
        if link is not None:
            link.send(("drop", order.contents))

    def _fetch(self, content: str, holders: tuple[str, ...]) -> Encoded | None:
        connection = self._client.security.get_connection_args("client")
        for address in holders:
            if address in self._links:
                try:
                    asking = partial(self._request, address, content)
                    found = receive(asking, connection, self._session, content)
                except OSError:
                    continue
                if found is not None:
                    return found
        return None

    def _request(self, address: str, content: str, here: bool) -> Any:
        worker = self._client.rpc(address)
        return self._ask(worker.wf_fetch(session=self._session, content=content, here=here))

    def _ask(self, what: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result()

    # -- Engine --------------------------------------------------------------------------------

    def executions(self) -> Counter[str]:
        """Count, by name, the task bodies that the workers now held have run, as they tell it."""
        total: Counter[str] = Counter()
        if self._loop is None:
            return total

        async def tally() -> list[Any]:
            asked = [
                self._client.rpc(address).wf_tally(session=self._session)
                for address in [*self._links]
            ]
            return await asyncio.gather(*asked, return_exceptions=True)

        for counts in self._ask(tally()):
            if isinstance(counts, dict):
                total.update(counts)
        return total

    def _commits(self, store: Store) -> bool:
        return store.shared

    def _shut(self) -> None:
        if self._starter is not None:
            self._starter.join(30)
        if self._loop is not None and self._client.status == "running":
            self._ask(self._leave())
        if self._client is not None:
            self._client.close(timeout=2)
        if self._cluster is not None:
            self._cluster.close(timeout=5)
        HERE.discard(self._session)

    async def _leave(self) -> None:
        """Give the slots back: leases first, because closing a client would only forget them."""
        self._watcher.cancel()
        links = [*self._links.values()]
        for link in links:
            link.send(("end",))
        await asyncio.gather(*(link.close() for link in links), return_exceptions=True)
        if self._slots is not None:
            self._slots.forget()
