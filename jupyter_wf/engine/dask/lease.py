"""A lease: an ordinary Dask task that sits in a worker's slot and runs what it is handed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from distributed import get_worker
from distributed.worker import thread_state

from jupyter_wf.engine.dask.fair import new_nonce
from jupyter_wf.engine.hands import Hands
from jupyter_wf.engine.parking import Start, start_thread

#: The worker plugin that keeps what leases share.
PLUGIN = "jupyter-wf"
#: Seconds between two looks of a lease without work whether it is to end.
LOOK = 0.05
#: Seconds for which a lease waits for its owner to come, or to be heard again.
GRACE = 15.0


def hold(name: str, store: str | None, share: float, idle: float | None) -> None:
    """Sit in a slot and run what comes, until told to end, or others should be let in.

    Parameters
    ----------
    name : str
        The session.
    store : str or None
        URL of the store to commit to.
    share : float
        What the session gets of the slots, against the 1 of others.
    idle : float or None
        Seconds without work after which to give the slot back; None keeps it.
    """
    worker: Any = get_worker()
    plugin = worker.plugins[PLUGIN]
    session = plugin.session(name, store)
    nonce = new_nonce(worker.get_current_task())
    hands = Hands(session.bench, nonce, session.answer, _starter())
    session.hands[nonce] = hands
    plugin.share.enter(name)
    began = last = active = time.monotonic()
    newest = hands.since

    def over() -> bool:
        nonlocal last, active, newest
        now = time.monotonic()
        plugin.share.charge(name, now - last, share)
        last = now
        if session.gone or plugin.leaving or now - session.heard > GRACE:
            return True
        if hands.since != newest:
            newest, active = hands.since, now
        elif idle is not None and now - active > idle:
            return True
        waiting = [task.key for task in (*worker.state.constrained, *worker.state.ready)]
        return bool(plugin.share.must_yield(name, now - began, waiting, now))

    try:
        session.heard = max(session.heard, began)
        if session.connected:
            session.tell(("joined", nonce))
        else:
            worker.log_event(f"wf-{name}", {"worker": worker.address})
        if not over():  # Dask lets in who asked first, not who is owed most
            hands.work(over, LOOK)
    finally:
        plugin.share.leave(name)
        session.hands.pop(nonce, None)
        session.tell(("ended", nonce))
        if not session.connected and not session.hands:
            plugin.forget(session)


def _starter() -> Start:
    """Return what starts threads that are, to Dask, in the slot of the thread that calls this."""
    mine = vars(thread_state).copy()

    def start(run: Callable[[], None]) -> None:
        def as_here() -> None:
            vars(thread_state).update(mine)
            run()

        start_thread(as_here)

    return start
