"""The slots of an engine: asked for as there is work for them, withdrawn when there is not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from jupyter_wf.engine.dask.fair import lease_key
from jupyter_wf.engine.dask.lease import hold


class Slots:
    """The leases that an engine holds or has asked for; to be used on the client's loop.

    Parameters
    ----------
    client : distributed.Client
    session : str
    store : str or None
        URL of the store that leases commit to.
    demand : callable
        Returns how many tasks could use a slot now, and how many slots would be worth starting
        workers for.
    share : float
        What the session gets of the slots, against the 1 of others.
    most : int or None
        Never ask for more slots; None for as many as the cluster has threads, or comes to have.
    idle : float or None
        Seconds after which a lease without work gives its slot back.
    waits : bool
        Whether to ask for a slot even where no worker is yet, so that one is started.
    wish : callable
        Told, on a cluster that scales by demand, how many more slots would be worth starting
        workers for.

    Attributes
    ----------
    capacity : int
        Threads of workers that can give leases.
    """

    def __init__(
        self,
        client: Any,
        session: str,
        store: str | None,
        demand: Callable[[], tuple[int, int]],
        *,
        share: float,
        most: int | None,
        idle: float | None,
        waits: bool,
        wish: Callable[[int], None],
    ) -> None:
        self.capacity = 0
        self._grows = False
        self._only: list[str] | None = None
        self._client = client
        self._arguments = (session, store, share, idle)
        self._demand = demand
        self._most = most
        self._waits = waits
        self._wish = wish
        self._numbers = 0
        self._waiting: dict[str, Any] = {}
        self._held: dict[str, Any] = {}

    def short(self, tasks: int) -> bool:
        """Whether so many tasks could use slots that are not asked for; any thread may call."""
        least = max(self._limit(self.capacity), int(self._waits))
        return len(self._held) + len(self._waiting) < min(tasks, least)

    def _limit(self, slots: int) -> int:
        return slots if self._most is None else min(slots, self._most)

    def count(self, workers: Iterable[Mapping[str, Any]]) -> None:
        """Count the threads of workers that have our plugin; have new ones used at once."""
        capacity = sum(about["nthreads"] for about in workers if "wf" in about["resources"])
        if capacity > self.capacity:
            # Dask chose a worker for each that waits, or none, when it was asked; it looks again
            # at the one kind late, and never at the other.
            self._withdraw(len(self._waiting))
        self.capacity = capacity

    def lost(self, keys: Iterable[str]) -> None:
        """Take leases for lost whose worker was given up, which Dask need not know yet."""
        for key in keys:
            self._held.pop(key, None)

    def ask_only(self, workers: list[str] | None) -> None:
        """Ask these workers alone, as others that Dask believes in were given up; None: all."""
        if workers != self._only:
            self._only = workers
            self._withdraw(len(self._waiting))

    def scales(self) -> None:
        """Note that workers are started for those who want slots."""
        self._grows = True
        self.settle()

    def joined(self, key: str) -> None:
        """Note that a lease sits in its slot."""
        if key in self._waiting:
            self._held[key] = self._waiting.pop(key)

    def ended(self, key: str) -> None:
        """Note that a lease gave its slot back; another is asked for if there is work for it."""
        self._held.pop(key, None)
        self._waiting.pop(key, None)
        self.settle()

    def settle(self) -> None:
        """Ask for the slots that are missing, and withdraw what waits in vain."""
        for leases in (self._waiting, self._held):
            for key in [key for key, future in leases.items() if future.done()]:
                del leases[key]
        tasks, worth = self._demand()
        wanted = min(tasks, self._limit(max(self.capacity, int(self._waits))))
        missing = wanted - len(self._held) - len(self._waiting)
        if missing < 0:
            self._withdraw(min(-missing, len(self._waiting)))
        for _ in range(0 if self._only == [] else missing):
            self._ask()
        if self._grows:
            self._wish(max(0, self._limit(worth) - len(self._held) - len(self._waiting)))

    def forget(self) -> None:
        """Let go of all leases."""
        self._waiting.clear()
        self._held.clear()

    def _ask(self) -> None:
        self._numbers += 1
        key = lease_key(self._arguments[0], self._numbers)
        self._waiting[key] = self._client.submit(
            hold,
            *self._arguments,
            key=key,
            resources={"wf": 1},
            workers=self._only,
            pure=False,
        )

    def _withdraw(self, count: int) -> None:
        # A future that nobody has any more is released, and then its task, if it has not begun.
        for _ in range(count):
            self._waiting.popitem()
