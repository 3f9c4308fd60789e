"""On the scheduler: what leases count for.

*As load*: nothing. Of a large group of tasks that are alike, Dask sends none while its workers have
more tasks than they can start. Leases that wait for a slot are tasks, though they let others in.

*As demand*: what their engines say. Dask starts workers for the seconds of work that it expects,
and takes a lease for as long as the last ones were. Here each is expected to last an hour, so that
it is worth a slot, and each engine says how many slots it could use beside those that it has asked
for. It is also noted, for all engines, whether anybody asks the scheduler how many workers there
should be: only then is it worth saying.

The scheduler need not have this package: the module travels there as it stands.
"""

from __future__ import annotations

import asyncio
import inspect
import math
from contextlib import suppress
from typing import Any

import distributed.scheduler
from distributed import SchedulerPlugin

#: Where it is noted that the cluster scales by demand.
TOPIC = "wf-scales"
#: What Dask takes for the kind of a task, from the key of a lease.
KIND = "wflease"
SECONDS = 3600.0
#: The function of `distributed.scheduler` that says how many more tasks a worker may be sent.
ROOM = "_task_slots_available"


class Counting(SchedulerPlugin):
    """Counts leases as they are meant; one serves all sessions."""

    idempotent = True
    name = "jupyter-wf"

    def start(self, scheduler: Any) -> None:
        """Listen to who asks for the number of workers, and to engines."""
        self.scheduler = scheduler
        self.noted = False
        self.wanted: dict[str, int] = {}
        self.target = scheduler.adaptive_target
        scheduler.adaptive_target = scheduler.handlers["adaptive_target"] = self.asked
        scheduler.handlers["wf_wants"] = self.wants
        _count_no_leases()

    def asked(self, *args: Any, **kwargs: Any) -> int:
        """Return how many workers there should be."""
        scheduler = self.scheduler
        if not self.noted:
            self.noted = True
            scheduler.log_event(TOPIC, {"scales": True})
        more = sum(self.wanted.values())
        if scheduler.total_nthreads:
            more = math.ceil(more * len(scheduler.workers) / scheduler.total_nthreads)
        found: int = self.target(*args, **kwargs)
        return found + more

    def wants(self, client: str, slots: int) -> None:
        """Take it from an engine that it could use so many slots beside those it asked for."""
        if client in self.scheduler.clients:
            self.wanted[client] = slots

    def remove_client(self, scheduler: Any, client: str) -> None:  # noqa: ARG002 - as Dask calls it
        """Forget what an engine wanted that is gone."""
        self.wanted.pop(client, None)

    def transition(self, key: Any, *_: Any, **__: Any) -> None:
        """Undo what Dask learned of the duration of leases."""
        if isinstance(key, str) and key.startswith(KIND):
            task = self.scheduler.tasks.get(key)
            if task is not None:
                task.prefix.duration_average = SECONDS


def _count_no_leases() -> None:
    """Let as many tasks be sent to a worker as if it had no leases; done twice, it is as once."""
    found = getattr(distributed.scheduler, ROOM, None)
    if found is None:
        return
    room = inspect.unwrap(found)

    def beside_leases(worker: Any, *saturation: float) -> int:
        slots: int = room(worker, *saturation)
        return slots + int(worker.task_prefix_count.get(KIND, 0))

    beside_leases.__wrapped__ = room  # type: ignore[attr-defined]
    setattr(distributed.scheduler, ROOM, beside_leases)


class Wish:
    """Tells a scheduler how many slots an engine could use beside those that it has asked for.

    To be called on the client's loop.

    Parameters
    ----------
    client : distributed.Client
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._slots = self._told = 0
        self._telling: asyncio.Future[None] | None = None

    def __call__(self, slots: int) -> None:
        """Have it told, unless it was."""
        self._slots = slots
        if self._told != slots and (self._telling is None or self._telling.done()):
            self._telling = asyncio.ensure_future(self._tell())

    async def _tell(self) -> None:
        with suppress(OSError):  # there is nobody to start workers then
            while self._told != self._slots:
                slots = self._slots
                await self._client.scheduler.wf_wants(client=self._client.id, slots=slots)
                self._told = slots
