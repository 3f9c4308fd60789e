"""Looks after a cluster: its scheduler, workers that come or fall silent, and their slots."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from jupyter_wf.engine.dask.crew import Crew
from jupyter_wf.engine.dask.deposit import Depositor
from jupyter_wf.engine.dask.health import Vigil
from jupyter_wf.engine.dask.slots import Slots

#: Seconds between two looks; a twentieth of that while no worker is known.
LOOK = 1.0
#: Most seconds for which to wait for what a worker offers before any is asked for slots: a task
#: that names a partition must not start elsewhere because those that declare one came last.
OFFERED = 1.0
#: Seconds without a scheduler after which it is held to be lost.
LOST = 3.0
#: Seconds for which one whose stream is open may take to answer.
SLOW = 30.0


class Watch:
    """Watches a cluster for an engine, on the client's loop, until cancelled.

    Parameters
    ----------
    client : distributed.Client
    crew : Crew
    slots : Slots
    silent : float
        Seconds without a word after which a worker is suspected.
    fail : callable
        Told why nothing more can be expected of the cluster.
    depositor : Depositor or None
        Settled at each look.
    """

    def __init__(
        self,
        client: Any,
        crew: Crew,
        slots: Slots,
        silent: float,
        fail: Callable[[str], None],
        depositor: Depositor | None = None,
    ) -> None:
        self._client = client
        self._crew = crew
        self._slots = slots
        self._silent = silent
        self._fail = fail
        self._depositor = depositor

    async def keep(self) -> None:
        """Watch until cancelled, or until the scheduler is lost."""
        crew = self._crew
        vigil = Vigil(crew.links, self._silent, crew.connection, crew.suspect)
        keeping = asyncio.create_task(vigil.keep())
        try:
            await self._watch()
        finally:
            keeping.cancel()

    async def _watch(self) -> None:
        slots, client = self._slots, self._client
        lost: float | None = None
        while True:
            asked = time.monotonic()
            workers = await self._workers()
            if workers is not None:
                lost = None
                here = self._crew.muster(workers)
                slots.ask_only(None if len(here) == len(workers) else [*here])
                if self._know_all():
                    slots.count(here.values())
                    slots.settle()
                if self._depositor is not None:
                    with suppress(OSError):  # the next look will tell
                        await self._depositor.settle()
            else:
                lost = lost or asked
                # A client sees at once that a scheduler has ended; one that is only slow is busy.
                patience = SLOW if client.status == "running" else LOST
                if time.monotonic() - lost > patience or client.status == "closed":
                    where = getattr(client.scheduler, "address", "")
                    self._fail(
                        f"The Dask scheduler {where} does not answer any more. Values that are "
                        f"stored are safe; connect to another cluster and run again."
                    )
                    return
            with suppress(TimeoutError):
                pause = LOOK if slots.capacity else LOOK / 20
                await asyncio.wait_for(self._crew.look.wait(), pause)
            self._crew.look.clear()

    async def _workers(self) -> dict[str, Any] | None:
        """Return the workers that the scheduler knows, by address; None if it does not answer."""
        try:
            identity = await asyncio.wait_for(self._client.scheduler.identity(), LOST)
        except (TimeoutError, OSError):
            return None
        workers: dict[str, Any] = identity["workers"]
        return workers if self._client.status == "running" else None

    def _know_all(self) -> bool:
        """Whether all workers have said what they offer, or had the time to."""
        latest = time.monotonic() - OFFERED
        links = self._crew.links.values()
        return all(link.offer is not None or link.born < latest for link in links)
