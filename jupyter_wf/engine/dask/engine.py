"""The engine on a Dask cluster: leases come and go with demand, streams carry the work."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from functools import partial
from threading import Thread
from typing import Any
from uuid import uuid4

from distributed import Client, Security

from jupyter_wf.encodings import Encoded
from jupyter_wf.engine.abc import Job, Store
from jupyter_wf.engine.dask.cluster import embedded, planned
from jupyter_wf.engine.dask.contact import close, failure, find, reach
from jupyter_wf.engine.dask.counting import TOPIC, Counting, Wish
from jupyter_wf.engine.dask.crew import Crew
from jupyter_wf.engine.dask.deposit import Depositor
from jupyter_wf.engine.dask.guardian import Guardian
from jupyter_wf.engine.dask.install import install
from jupyter_wf.engine.dask.large import receive
from jupyter_wf.engine.dask.link import Link
from jupyter_wf.engine.dask.plugin import CAME, LeasePlugin
from jupyter_wf.engine.dask.session import HERE
from jupyter_wf.engine.dask.slots import Slots
from jupyter_wf.engine.dask.watch import Watch
from jupyter_wf.engine.runner import LiveEngine
from jupyter_wf.engine.signals import (
    Cancel,
    Demand,
    Drop,
    HandOver,
    Interrupt,
    Provide,
    Recall,
    Submit,
)
from jupyter_wf.engine.state import KEEP
from jupyter_wf.errors import EngineError
from jupyter_wf.resources import Words, Worker

logger = logging.getLogger("jupyter_wf.engine")
#: Seconds without a word after which a worker is suspected, and its nanny is asked.
SILENT = 3.0
#: Seconds without work after which a slot is given back.
IDLE = 10.0
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
    guarded : bool
        Whether a cluster that is not our own goes on with what was asked for, if this process dies
        without closing the engine; see `engine.dask.guardian`. It takes a store that its workers
        can open.
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
        guarded: bool = True,
    ) -> None:
        super().__init__(keep, speculate)
        self._guarded = guarded and target is not None
        self._depositor: Depositor | None = None
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
        self._watching: Any = None
        self._slots: Slots | None = None
        self._crew: Crew | None = None

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
        store = self._store
        assert store is not None
        if self._target is not None:
            install(client, Counting)
        if self._guarded and store.shared and install(client, Guardian):
            about = (self._session, store.url, self._share)
            self._depositor = Depositor(client, *about, self.busy)
            for tasks in self._depositor.orphans():
                logger.warning(
                    "A session on this store died, and the cluster goes on with what it asked for "
                    "(tasks: %d). What you ask for as well is left to you, unless it runs already.",
                    tasks,
                )

    def _planned(self) -> tuple[Worker, ...]:
        return planned(self._workers, self._partitions) if self._target is None else ()

    def _begin(self) -> None:
        """Look for workers, of which listeners want to hear, and ask them for slots."""
        client, store = self._client, self._store
        assert store is not None
        own = self._target is None
        slots = Slots(
            client,
            self._session,
            store.url if store.shared else None,
            self._in_demand,
            share=self._share,
            most=None if own else self._workers,
            idle=self._idle,
            waits=not own,
            wish=Wish(client),
        )
        crew = Crew(self, client, self._session, store, slots)
        # The client calls these on its loop.
        client.subscribe_topic(f"wf-{self._session}", lambda event: crew.open(event[1]["worker"]))
        client.subscribe_topic(
            "worker-restart-memory", lambda event: crew.restarted(event[1]["worker"])
        )
        client.subscribe_topic(CAME, lambda _: crew.look.set())
        if not own:
            client.subscribe_topic(TOPIC, lambda _: slots.scales())
            if client.get_events(TOPIC):
                slots.scales()
        self._loop = client.loop.asyncio_loop
        watch = Watch(client, crew, slots, self._silent, self.fail, self._depositor)
        self._watching = asyncio.run_coroutine_threadsafe(watch.keep(), self._loop)
        self._crew, self._slots = crew, slots

    def submit(self, jobs: Sequence[Job], known: Mapping[str, str], run: str = "") -> None:
        """Take on jobs; return at once."""
        super().submit(jobs, known, run)
        if self._depositor is not None:
            self._depositor.note(Submit(tuple(jobs), dict(known), run))

    def cancel(self, tasks: Iterable[str]) -> None:
        """Stop tasks and all that need them, running ones included; return at once."""
        asked = Cancel(tuple(tasks))
        super().cancel(asked.tasks)
        if self._depositor is not None:
            self._depositor.note(asked)

    def _in_demand(self) -> tuple[int, int]:
        with self._lock:
            if self._closed or self._broken or self._graph is None:
                return 0, 0
            return self._graph.demand, self._graph.slots(HORIZON)

    # -- instructions --------------------------------------------------------------------------

    def _link(self, worker: str) -> Link | None:
        return None if self._crew is None else self._crew.links.get(worker)

    def _hand_over(self, order: HandOver) -> None:
        link = self._link(order.worker)
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
        link = self._link(order.worker)
        if link is None:
            return
        if not order.hard:
            link.send(("stop", order.nonce, order.serial))
        elif self._crew is not None:
            asyncio.run_coroutine_threadsafe(self._crew.kill(link), self._loop)

    def _provide(self, order: Provide) -> None:
        link = self._link(order.worker)
        if link is not None:
            source = None if order.source is None else tuple(order.source)
            link.send(("provide", order.nonce, order.serial, order.data, source, order.failure))

    def _recall(self, order: Recall) -> None:
        link = self._link(order.worker)
        if link is not None:
            link.send(("recall", order.nonce))

    def _drop(self, order: Drop) -> None:
        link = self._link(order.worker)
        if link is not None:
            link.send(("drop", order.contents))

    def _fetch(self, content: str, holders: tuple[str, ...]) -> Encoded | None:
        connection = self._client.security.get_connection_args("client")
        for address in holders:
            if self._link(address) is not None:
                try:
                    asking = partial(self._request, address, content)
                    found = receive(address, asking, connection, self._session, content)
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
        for counts in [] if self._crew is None else self._ask(self._crew.tally()):
            if isinstance(counts, dict):
                total.update(counts)
        return total

    def _shut(self) -> None:
        if self._starter is not None:
            self._starter.join(30)
        if self._crew is not None and self._client.status == "running":
            self._ask(self._leave(self._crew))
        if self._client is not None:
            close(self._client)
        if self._cluster is not None:
            self._cluster.close(timeout=5)
        HERE.discard(self._session)

    async def _leave(self, crew: Crew) -> None:
        """Give the slots back: leases first, because closing a client would only forget them."""
        self._watching.cancel()
        if self._depositor is not None:
            await self._depositor.withdraw()
        await crew.dismiss()
        if self._slots is not None:
            self._slots.forget()
