"""What a session asked for, left with the scheduler in case the session's process dies."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import Any

from jupyter_wf.engine.signals import Cancel, Submit

#: Seconds for which a scheduler may take to answer who closes.
ANSWER = 2.0


@dataclass(frozen=True, slots=True)
class Legacy:
    """What a session left.

    Parameters
    ----------
    scheduler : str
        Address of the scheduler.
    security : distributed.Security
        What it takes to be let in.
    store : str
        URL of the store.
    share : float
        What the session had of the slots.
    entries : tuple of bytes
        What it asked for, in order: pickled lists of `Submit` and `Cancel`.
    elsewhere : tuple of str
        Tasks that a living session asked for since.
    """

    scheduler: str
    security: Any
    store: str
    share: float
    entries: tuple[bytes, ...]
    elsewhere: tuple[str, ...]


class Depositor:
    """Sends what an engine is asked for to the scheduler, unless it has ended within a second.

    So short runs cost nothing, and long ones a pickle of their jobs. A deposit is taken back when
    all of it has ended.

    Parameters
    ----------
    client : distributed.Client
    session, store : str
        Of the engine; the store's URL.
    share : float
        What whoever takes over gets of the slots, against the 1 of others.
    busy : callable
        Takes keys of tasks; returns whether any of them is still to end.
    """

    def __init__(
        self,
        client: Any,
        session: str,
        store: str,
        share: float,
        busy: Callable[[Iterable[str]], bool],
    ) -> None:
        self._client = client
        self._about = {"client": client.id, "session": session, "store": store, "share": share}
        self._busy = busy
        self._lock = Lock()
        self._new: list[Submit | Cancel] = []
        self._keys: list[str] = []
        self._left = False

    def note(self, asked: Submit | Cancel) -> None:
        """Note what was asked of the engine; any thread may call."""
        with self._lock:
            self._new.append(asked)
            if isinstance(asked, Submit):
                self._keys += [job.key for job in asked.jobs]

    async def settle(self) -> None:
        """Send what is new, or take all back if it has ended."""
        with self._lock:
            # The newest is the likeliest to be under way.
            busy = self._busy(reversed(self._keys))
            new, self._new = self._new, []
            if not busy:
                self._keys.clear()
        if not busy:
            await self.withdraw()
        elif new:
            keys = [job.key for one in new if isinstance(one, Submit) for job in one.jobs]
            entry = await asyncio.to_thread(pickle.dumps, new, 5)
            self._left = True
            await self._client.scheduler.wf_deposit(**self._about, entry=entry, keys=keys)

    def orphans(self) -> list[int]:
        """Return how many tasks each process has that took over from a session on this store."""
        ask = self._client.scheduler.wf_deposits
        found = self._client.sync(ask, store=self._about["store"])
        return list(found["orphans"])

    async def withdraw(self) -> None:
        """Have nobody take over."""
        if self._left:
            self._left = False
            with suppress(OSError, TimeoutError):  # a scheduler that is gone has forgotten it
                withdrawn = self._client.scheduler.wf_withdraw(client=self._about["client"])
                await asyncio.wait_for(withdrawn, ANSWER)
