"""Sharing a worker's slots among sessions, and with plain Dask tasks.

Dask starts what waits when a slot is free, and a lease never frees its slot by itself: the first
session would starve all others. So each worker keeps account of the slot-seconds of each session,
and a lease yields when its session has had a quantum more than the one that has waited with least.
"""

from __future__ import annotations

from collections.abc import Collection
from threading import Lock
from uuid import uuid4

from jupyter_wf.engine.dask.counting import KIND

PREFIX = f"{KIND}-"
#: Slot-seconds that a session may be ahead of one that waits.
QUANTUM = 0.25
#: Seconds after which one that was not seen any more is taken to have stopped waiting.
AWAY = 1.0


def lease_key(session: str, number: int) -> str:
    """Return the Dask key of a lease.

    The number comes first: after it, Dask takes nothing for the name of another kind of task.
    """
    return f"{PREFIX}{number}-{session}"


def key_of(nonce: str) -> str:
    """Return the Dask key of the lease that has this nonce: Dask may start one several times.

    Examples
    --------
    >>> key_of(new_nonce("wflease-3-a1"))
    'wflease-3-a1'
    """
    return nonce.partition("/")[0]


def new_nonce(key: str) -> str:
    """Return what tells one start of a lease from all others."""
    return f"{key}/{uuid4().hex[:12]}"


def session_of(key: object) -> str | None:
    """Return the session to which a Dask task belongs if it is a lease.

    Examples
    --------
    >>> session_of(lease_key("a1", 3))
    'a1'
    >>> session_of("sum-123") is None
    True
    """
    if not isinstance(key, str) or not key.startswith(PREFIX):
        return None
    return key[len(PREFIX) :].partition("-")[2]


class FairShare:
    """Slot-seconds of each session on one worker; times are given, not asked.

    Attributes
    ----------
    held : dict
        By session, the slot-seconds that it has had here.

    Examples
    --------
    >>> share = FairShare()
    >>> share.enter("a")
    >>> share.charge("a", 10.0)
    >>> share.must_yield("a", 10.0, ["wflease-1-b"], 10.0)
    False
    >>> share.charge("a", 0.5)
    >>> share.must_yield("a", 10.5, ["wflease-1-b"], 10.5)
    True
    """

    def __init__(self, quantum: float = QUANTUM) -> None:
        self.held: dict[str, float] = {}
        self._used: dict[str, float] = {}
        self._here: dict[str, int] = {}
        #: When a session that has no slot was last known to want one.
        self._waiting: dict[str, float] = {}
        self._least = 0.0
        self._lock = Lock()
        self._quantum = quantum

    def enter(self, session: str) -> None:
        """Note that a session got a slot."""
        with self._lock:
            if session not in self._here:
                self._arrive(session)
                self._waiting.pop(session, None)
            self._here[session] = self._here.get(session, 0) + 1

    def leave(self, session: str) -> None:
        """Note that a session gave a slot back."""
        with self._lock:
            self._here[session] -= 1
            if not self._here[session]:
                del self._here[session]

    def charge(self, session: str, seconds: float, share: float = 1.0) -> None:
        """Add to a session's account: seconds, which weigh the less the larger its share is."""
        with self._lock:
            self.held[session] = self.held.get(session, 0.0) + seconds
            self._used[session] = self._used.get(session, 0.0) + seconds / share
            least = min((self._used[here] for here in self._here), default=0.0)
            self._least = max(self._least, least)

    def must_yield(
        self, session: str, since: float, waiting: Collection[object], now: float
    ) -> bool:
        """Say whether a lease, held for `since` seconds, must let one of `waiting` in.

        Parameters
        ----------
        session : str
        since : float
        waiting : collection
            Dask keys that would start here if there were a slot.
        now : float
            Seconds on any clock that is always the same.
        """
        if not waiting and not self._waiting:
            return False
        found = {session_of(key) for key in waiting} - {session}
        others = {other for other in found if other is not None}
        with self._lock:
            mine = self._used.get(session, 0.0)
            for other in others:
                self._arrive(other)
                self._waiting[other] = now
            self._waiting = {one: at for one, at in self._waiting.items() if now - at < AWAY}
            plain = None in found and since >= self._quantum
            if not plain and all(mine - self._used[one] < self._quantum for one in others):
                return False
            # It asks anew at once, though that takes a moment, and is seen between two tasks only.
            self._waiting[session] = now
            return True

    def _arrive(self, session: str) -> None:
        """Give no credit for the time in which a session neither held nor waited for a slot."""
        if session not in self._here and session not in self._waiting:
            self._used[session] = max(self._used.get(session, 0.0), self._least)
