"""On the scheduler: has a session's work finished when the session's process dies.

A session leaves here what it asked for (`deposit.py`). If its client goes without having taken it
back, a worker is asked to start a process that takes over (`successor.py`), and another one if that
worker dies. What a living session asks for as well is told to those processes, which need not begin
it. Nothing of a deposit is opened here; it goes to the workers as it came.

The scheduler need not have this package: the module travels there as it stands.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Any

from distributed import SchedulerPlugin, Status

logger = logging.getLogger("jupyter_wf.engine")
#: How many workers may die under what takes over before it is given up.
TRIES = 5
#: Seconds for which a worker is waited for that could start it.
PATIENCE = 60.0
LOOK = 0.25


class Deposit:
    """What one session asked for."""

    def __init__(self, session: str, store: str, share: float) -> None:
        self.session = session
        self.store = store
        self.share = share
        self.entries: list[bytes] = []
        self.keys: set[str] = set()
        #: Tasks that living sessions asked for as well.
        self.elsewhere: set[str] = set()
        #: The worker whose process has taken over, if one has.
        self.worker: str | None = None
        #: How many tasks that has to see to.
        self.tasks = 0


class Guardian(SchedulerPlugin):
    """Keeps deposits; one serves all sessions."""

    idempotent = True
    name = "jupyter-wf-guardian"

    def start(self, scheduler: Any) -> None:
        """Listen to sessions."""
        self.scheduler = scheduler
        self.living: dict[str, Deposit] = {}
        self.orphans: dict[str, Deposit] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        scheduler.handlers.update(
            wf_deposit=self.deposit, wf_withdraw=self.withdraw, wf_deposits=self.deposits
        )

    def deposit(
        self, client: str, session: str, store: str, share: float, entry: bytes, keys: list[str]
    ) -> None:
        """Take in more of what a session asked for; `keys` are the tasks in it."""
        found = self.living.get(client)
        if found is None:
            found = self.living[client] = Deposit(session, store, share)
        found.entries.append(entry)
        found.keys.update(keys)
        for orphan in self.orphans.values():
            common = orphan.keys.intersection(keys)
            if common and orphan.store == store:
                orphan.elsewhere |= common
                self._begin(self._give_way(orphan))
        if client not in self.scheduler.clients:  # it died while this was under way
            self.remove_client(self.scheduler, client)

    def withdraw(self, client: str) -> None:
        """Forget what a session asked for: it has ended, or is not wanted any more."""
        self.living.pop(client, None)

    def deposits(self, store: str) -> dict[str, list[int]]:
        """Return how many tasks living sessions on a store, and processes that took over, have."""
        return {
            "living": [len(one.keys) for one in self.living.values() if one.store == store],
            "orphans": [one.tasks for one in self.orphans.values() if one.store == store],
        }

    def remove_client(self, scheduler: Any, client: str) -> None:  # noqa: ARG002 - Dask's signature
        """Have what a client left taken over."""
        found = self.living.pop(client, None)
        if found is not None:
            found.tasks = len(found.keys)
            self.orphans[found.session] = found
            self._begin(self._hand_on(found))

    def _begin(self, what: Any) -> None:
        task = asyncio.ensure_future(what)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _give_way(self, orphan: Deposit) -> None:
        if orphan.worker is not None:
            worker = self.scheduler.rpc(orphan.worker)
            with suppress(OSError):  # then it takes over elsewhere, and is told at once
                await worker.wf_give_way(session=orphan.session, tasks=[*orphan.elsewhere])
                orphan.tasks = len(orphan.keys - orphan.elsewhere)

    async def _hand_on(self, left: Deposit) -> None:
        try:
            for _ in range(TRIES):
                left.worker = await self._choose()
                if left.worker is None:
                    return
                try:
                    ended = await self.scheduler.rpc(left.worker).wf_take_over(
                        session=left.session,
                        store=left.store,
                        share=left.share,
                        entries=left.entries,
                        elsewhere=[*left.elsewhere],
                    )
                except OSError as error:
                    ended = error
                if ended == 0:
                    return
                logger.warning("What took over a session on %s died: %s", left.worker, ended)
        finally:
            del self.orphans[left.session]

    async def _choose(self) -> str | None:
        """Return the worker with least to do of those that know what a lease is."""
        for _ in range(int(PATIENCE / LOOK)):
            able = [
                worker
                for worker in self.scheduler.workers.values()
                if "wf" in worker.resources and worker.status is Status.running
            ]
            if able:
                return str(min(able, key=lambda worker: len(worker.processing)).address)
            await asyncio.sleep(LOOK)
        return None
