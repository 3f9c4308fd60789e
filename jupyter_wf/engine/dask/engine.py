"""The engine on a Dask cluster: leases come and go with demand, streams carry the work."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Coroutine, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from typing import Any
from uuid import uuid4

import cloudpickle
import dask
from dask.utils import parse_timedelta
from distributed import Client, Security
from distributed.core import connect, rpc

from jupyter_wf.encodings import Encoded, encode
from jupyter_wf.engine.abc import Store
from jupyter_wf.engine.dask.cluster import embedded
from jupyter_wf.engine.dask.fair import lease_key
from jupyter_wf.engine.dask.lease import HERE, LeasePlugin, hold
from jupyter_wf.engine.dask.link import SILENT, Link
from jupyter_wf.engine.dask.wire import answer_in, unpack
from jupyter_wf.engine.runner import LiveEngine
from jupyter_wf.engine.signals import (
    Demand,
    Drop,
    Durable,
    HandOver,
    Interrupt,
    LeaseEnded,
    LeaseJoined,
    Recall,
    Stimulus,
    Suspect,
    Unrun,
    Unstored,
    Vector,
    WorkerLost,
)
from jupyter_wf.engine.state import KEEP
from jupyter_wf.errors import EngineError
from jupyter_wf.events import TaskLog, TaskProgress, WorkerChanged, WorkerSample

logger = logging.getLogger("jupyter_wf.engine")
LOOK = 1.0
#: Seconds without a scheduler after which it is held to be lost.
LOST = 5.0
IDLE = 10.0
#: Most seconds for which `start` waits for a scheduler to answer.
CONNECT = 10.0


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
    idle : float or None
        Seconds without work after which slots are given back; None keeps them, which is the
        default where the cluster is our own.
    """

    def __init__(
        self,
        target: Any = None,
        workers: int | None = None,
        *,
        security: Security | None = None,
        idle: float | None = IDLE,
        keep: int = KEEP,
    ) -> None:
        super().__init__(keep)
        self._target = target
        self._workers = workers
        self._security = security
        self._idle = idle if target is not None else None
        self._session = uuid4().hex[:12]
        HERE.add(self._session)
        self._cluster: Any = None
        self._client: Any = None
        self._loop: Any = None
        self._starter: Thread | None = None
        self._watcher: Any = None
        self._links: dict[str, Link] = {}
        self._futures: dict[str, Any] = {}
        self._numbers = 0
        self._wanted = 0
        self._capacity = 0
        self._since = time.monotonic()

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
            raise EngineError(_start_failed(self._target, error)) from error

    def _demand(self, order: Demand) -> None:
        self._wanted = order.tasks
        self._since = time.monotonic()
        if self._starter is None:
            self._starter = Thread(target=self._start, name="jupyter-wf-start", daemon=True)
            self._starter.start()
        elif self._loop is not None and len(self._futures) < min(order.tasks, self._limit):
            self._loop.call_soon_threadsafe(self._acquire)

    def _start(self) -> None:
        try:
            if self._client is None:
                self._connect()
            self._begin()
        except Exception as error:
            if not self._closed:
                logger.debug("The engine did not start.", exc_info=True)
                self.fail(_start_failed(self._target, error))

    def _connect(self) -> None:
        target, security = self._target, self._security
        if target is None:
            target = self._cluster = embedded(self._workers)
        if not isinstance(target, str):
            # A client of our own, on a loop of our own: others may close theirs at any time.
            security = security or getattr(target, "security", None)
            target = getattr(target, "scheduler_address", None) or target.scheduler.address
        usual = dask.config.get("distributed.comm.timeouts.connect")
        timeout = min(CONNECT, parse_timedelta(usual, "s"))
        _reach(target, security or Security(), timeout)
        client = Client(target, security=security, set_as_default=False)
        self._client = client
        client.register_plugin(LeasePlugin())

    def _begin(self) -> None:
        """Look for workers, of which listeners want to hear, and ask them for slots."""
        self._client.subscribe_topic(f"wf-{self._session}", self._rung)
        loop = self._client.loop.asyncio_loop
        self._watcher = asyncio.run_coroutine_threadsafe(self._watch(), loop)
        self._loop = loop

    def _rung(self, event: Any) -> None:
        # The client calls this on its loop.
        self._open(event[1]["worker"] if isinstance(event, tuple | list) else event["worker"])

    async def _watch(self) -> None:
        """Look after the cluster: workers that came, the scheduler, leases that nobody needs."""
        lost: float | None = None
        identity: dict[str, Any] = {}
        while not self._closed:
            try:
                identity = await asyncio.wait_for(self._client.scheduler.identity(), LOST)
                running = self._client.status == "running"
            except (TimeoutError, OSError):
                running = False
            if running:
                lost = None
                for address, about in identity["workers"].items():
                    self._open(address, about)
                await self._count(identity["workers"].values())
                self._acquire()
                self._relax()
            else:
                lost = lost or time.monotonic()
                if time.monotonic() - lost > LOST or self._client.status == "closed":
                    where = getattr(self._client.scheduler, "address", "")
                    self.fail(
                        f"The Dask scheduler {where} does not answer any more. Values that are "
                        f"stored are safe; connect to another cluster and run again."
                    )
                    return
            self._suspect()
            await asyncio.sleep(LOOK if self._capacity else LOOK / 20)

    async def _count(self, workers: Iterable[Mapping[str, Any]]) -> None:
        """Count the threads of workers that have our plugin."""
        capacity = sum(about["nthreads"] for about in workers if "wf" in about["resources"])
        if capacity > self._capacity == 0 and self._futures:
            # Dask does not look again at what no worker could run when it was submitted.
            futures, self._futures = [*self._futures.values()], {}
            await self._client.cancel(futures, asynchronous=True)
        self._capacity = capacity

    def _acquire(self) -> None:
        """Ask Dask for as many slots as could be used and are not asked for."""
        if self._closed or self._broken:
            return
        for key in [k for k, future in self._futures.items() if future.done()]:
            del self._futures[key]
        limit = self._limit
        # With no worker yet, one lease is enough to make an adaptive cluster start some.
        wanted = min(self._wanted, limit or int(self._cluster is None))
        while len(self._futures) < wanted:
            self._numbers += 1
            key = lease_key(self._session, self._numbers)
            self._futures[key] = self._client.submit(
                hold,
                self._session,
                self._store_url,
                key=key,
                resources={"wf": 1},
                pure=False,
            )

    def _relax(self) -> None:
        if self._wanted or self._idle is None or not self._futures:
            return
        if time.monotonic() - self._since > self._idle:
            for link in self._links.values():
                link.send(("end",))

    @property
    def _limit(self) -> int:
        """The most slots to ask for."""
        own = self._target is None
        return self._capacity if own or not self._workers else self._workers

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
        if about is not None and link.name == address:
            link.name, link.nanny = str(about["name"]), about["nanny"]
            link.threads = about["nthreads"]
            self.publish(WorkerChanged(time.time(), address, "joined", link.name, link.threads))

    async def _keep_open(self, link: Link) -> None:
        connection = self._client.security.get_connection_args("client")
        why = await link.run(self._session, self._store_url, connection)
        self._links.pop(link.address, None)
        if self._closed:
            return
        why = f"worker {link.name} was lost: {why}"
        self.publish(WorkerChanged(time.time(), link.address, "left", link.name, why=why))
        self._feed(WorkerLost(link.address, why))

    def _suspect(self) -> None:
        for link in self._links.values():
            silent = time.monotonic() - link.last > SILENT
            if silent and not link.suspect:
                link.suspect = True
                why = f"not heard for {SILENT:g} s: busy in code that holds the GIL, or stopped"
                self.publish(
                    WorkerChanged(
                        time.time(), link.address, "suspect", link.name, link.threads, why
                    )
                )
                self._feed(Suspect(link.address, silent=True))

    def _heard(self, link: Link, items: list[tuple[Any, ...]]) -> None:
        stimuli: list[Stimulus] = []
        if link.suspect:
            link.suspect = False
            self.publish(
                WorkerChanged(time.time(), link.address, "joined", link.name, link.threads)
            )
            stimuli.append(Suspect(link.address, silent=False))
        near: list[Encoded] = []
        for item in items:
            match item[0]:
                case "answers":
                    for parts in item[1]:
                        answer, small = answer_in(parts)
                        near += small
                        stimuli.append(answer)
                case "durable":
                    stimuli.extend([Durable(serial) for serial in item[1]])
                case "unstored":
                    stimuli.append(Unstored(*item[1:]))
                case "joined":
                    offer = Vector(1000 * link.threads, 0, 10**9)
                    stimuli.append(LeaseJoined(item[1], link.address, link.partition, offer))
                case "ended":
                    stimuli.append(LeaseEnded(item[1]))
                case "unrun":
                    stimuli.append(Unrun(*item[1:]))
                case "told":
                    self._pass_on(*item[1:])
                case "sample":
                    self.publish(WorkerSample(time.time(), link.address, *item[1:]))
        if near:
            self.keep_near(near)
        if stimuli:
            self._feed(*stimuli)

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
        found = self._held[content] = encode(self._store.get(content))
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
        async with rpc(link.nanny, connection_args=connection) as nanny:
            await nanny.run(function=cloudpickle.dumps(_end_process), wait=True)

    def _recall(self, order: Recall) -> None:
        link = self._links.get(order.worker)
        if link is not None:
            link.send(("recall", order.nonce))

    def _drop(self, order: Drop) -> None:
        link = self._links.get(order.worker)
        if link is not None:
            link.send(("drop", order.contents))

    def _fetch(self, content: str, holders: tuple[str, ...]) -> Encoded | None:
        for address in holders:
            if address in self._links:
                try:
                    parts = unpack(self._ask(self._request(address, content)))
                except OSError:
                    continue
                if parts is not None:
                    return Encoded(*parts)
        return None

    async def _request(self, address: str, content: str) -> Any:
        return await self._client.rpc(address).wf_fetch(session=self._session, content=content)

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
        self._client.unsubscribe_topic(f"wf-{self._session}")
        self._futures.clear()


def _reach(address: str, security: Security, timeout: float) -> None:
    """Raise unless Dask answers; a `Client` that could not connect complains once more later."""

    async def greet() -> None:
        comm = await connect(address, timeout, **security.get_connection_args("client"))
        await comm.close()

    with ThreadPoolExecutor(1) as own:  # the caller's thread may have a loop that runs
        own.submit(asyncio.run, greet()).result()


def _end_process(dask_worker: Any) -> None:
    """Kill the worker of a nanny, which then starts another; runs in the nanny."""
    import psutil

    psutil.Process(dask_worker.process.pid).kill()


def _start_failed(target: Any, error: Exception) -> str:
    address = target if isinstance(target, str) else getattr(target, "scheduler_address", target)
    where = "the embedded cluster" if target is None else f"the Dask cluster {address!r}"
    if isinstance(error, ModuleNotFoundError) and error.name:
        return (
            f"The workers of {where} can't import {error.name!r}. Install it there, in the same "
            f"version as here, and connect again."
        )
    cause = error.__cause__ or error
    text = f"{type(cause).__name__}: {str(cause)[:500]}"
    if target is None:
        return f"{where} did not start ({text}).".capitalize()
    return (
        f"No connection to {where} ({text}). Check that its scheduler is up and that its address, "
        f"like tcp://host:8786, can be reached from here."
    )
