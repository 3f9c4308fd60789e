"""Which ready tasks no worker can serve, and why: told on the task, since it may wait for ever."""

from __future__ import annotations

from jupyter_wf.engine.nodes import Live
from jupyter_wf.engine.turns import Class
from jupyter_wf.resources import Worker, lacking

NOBODY = "waits for a worker: none is here"


def workers(live: Live) -> tuple[Worker, ...]:
    """Return who is here, with what they have and what of it is free."""
    return tuple([Worker(m.name, m.partition, m.offer, m.free) for m in live.machines.values()])


def unserved(live: Live, where: Class) -> str:
    """Say why no worker that is here can serve tasks of one class, if none can."""
    return lacking(where[0], where[1], workers(live)) if live.machines else NOBODY
