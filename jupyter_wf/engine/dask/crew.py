"""The workers to which an engine speaks: streams to them are opened, kept, and given up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from jupyter_wf.engine.abc import Store
from jupyter_wf.engine.dask import health
from jupyter_wf.engine.dask.hearing import Hearing
from jupyter_wf.engine.dask.large import hang_up
from jupyter_wf.engine.dask.link import Link
from jupyter_wf.engine.dask.slots import Slots
from jupyter_wf.engine.runner import LiveEngine
from jupyter_wf.engine.signals import Suspect, WorkerLost

logger = logging.getLogger("jupyter_wf.engine")
#: Part of its memory limit from which a worker that dies is taken to have died of it.
FULL = 0.85
#: Seconds that the word of a nanny which ended its worker may come after that worker's end.
TOLD = 0.1
#: Seconds for which what a worker computed may still be written before its process is ended.
FLUSH = 2.0


class Crew:
    """The workers of a cluster, as one engine knows them; to be used on the client's loop.

    Parameters
    ----------
    engine : LiveEngine
    client : distributed.Client
    session : str
    store : Store
    slots : Slots

    Attributes
    ----------
    links : dict
        By address, those to which there is a stream.
    look : asyncio.Event
        Set when there is more to know of the workers than there was.
    """

    def __init__(
        self, engine: LiveEngine, client: Any, session: str, store: Store, slots: Slots
    ) -> None:
        self.links: dict[str, Link] = {}
        self.look = asyncio.Event()
        self._engine = engine
        self._client = client
        self._session = session
        self._store = store
        self._slots = slots
        self._hearing = Hearing(engine, slots, self.look)
        self._seen: dict[str, float] = {}
        self._away: dict[str, float] = {}
        self._closed = False
        self._lost = 0
        #: Addresses of workers whose nannies ended them because of their memory.
        self._restarted: set[str] = set()

    @property
    def connection(self) -> dict[str, Any]:
        """What it takes to connect to workers and nannies."""
        found: dict[str, Any] = self._client.security.get_connection_args("client")
        return found

    def muster(self, workers: Mapping[str, Any]) -> dict[str, Any]:
        """Have streams to the workers of a scheduler; return those not held to be lost.

        Parameters
        ----------
        workers : mapping
            By address, what the scheduler says of each.
        """
        self._away = {a: at for a, at in self._away.items() if a in workers}
        for address, about in workers.items():
            self._seen[address] = about["last_seen"]
            # One that was given up is tried again when Dask has heard of it.
            if self._away.get(address) != about["last_seen"]:
                self._away.pop(address, None)
                self.open(address, about)
        return {a: w for a, w in workers.items() if a not in self._away}

    def open(self, address: str, about: Any = None) -> None:
        """Have a stream to a worker, of which the scheduler may have said more."""
        link = self.links.get(address)
        if link is None:
            loop = asyncio.get_running_loop()
            link = self.links[address] = Link(address, loop, self._hearing.take)
            link.send(self._owner())
            asyncio.ensure_future(self._keep_open(link))  # noqa: RUF006 - the link is kept
        if about is not None and not link.known:
            link.known = True
            link.name, link.nanny = str(about["name"]), about["nanny"]
            link.threads = about["nthreads"]
            self._engine.publish(link.changed("joined"))

    async def _keep_open(self, link: Link) -> None:
        store = self._store.url if self._store.shared else None
        why = await link.run(self._session, store, self.connection)
        self.links.pop(link.address, None)
        if self._closed:
            return
        # It may live, and commit what others are now to do: those who remain watch out for it.
        self._lost += 1
        for other in self.links.values():
            other.send(self._owner())
        self._away[link.address] = self._seen.get(link.address, 0.0)
        if link.given_up:
            self._slots.lost(link.leases)
            self.look.set()
            # Nothing else ends the wait for a process that is stopped.
            self._client.rpc.remove(link.address)
            hang_up(link.address)
            for other in self.links.values():
                other.send(("lost", link.address))
        # What it committed, though it could not say so any more, need not run again.
        await asyncio.to_thread(self._store.refresh)
        starved = link.nanny is not None and await self._starved(link)
        why = f"worker {link.name} was lost: {'it used up its memory' if starved else why}"
        self._engine.publish(link.changed("left", why))
        self._engine.hear(WorkerLost(link.address, why, starved))

    def _owner(self) -> tuple[str, str]:
        """Say for whom the workers commit that are not lost; see `Store.commit`."""
        return "owner", f"{self._session}-{self._lost}"

    async def _starved(self, link: Link) -> bool:
        """Whether a worker that is gone was ended for its memory, by its nanny or the system."""
        if link.full >= FULL:
            return True
        if link.address not in self._restarted:
            await asyncio.sleep(TOLD)
        return link.address in self._restarted

    def restarted(self, address: str) -> None:
        """Note that a nanny has ended its worker because of its memory."""
        self._restarted.add(address)

    def suspect(self, link: Link, why: str) -> None:
        """Hand nothing to a worker until it is heard again."""
        self._engine.publish(link.changed("suspect", why))
        self._engine.hear(Suspect(link.address, silent=True))

    async def kill(self, link: Link) -> None:
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
            await asyncio.wait_for(flushed, FLUSH)
        except (TimeoutError, OSError):
            logger.debug("%s does not answer, and is ended as it is.", link.name)
        await health.end(link.nanny, self.connection)

    async def tally(self) -> list[Any]:
        """Ask all how many bodies they have run, by name; exceptions stand for those gone."""
        asked = [self._client.rpc(one).wf_tally(session=self._session) for one in self.links]
        return await asyncio.gather(*asked, return_exceptions=True)

    async def dismiss(self) -> None:
        """Have all leases end, and close the streams."""
        self._closed = True
        links = [*self.links.values()]
        for link in links:
            link.send(("end",))
        await asyncio.gather(*(link.close() for link in links), return_exceptions=True)
