"""Which workers can serve what is ready: how many slots it takes, and what to say if none can."""

from __future__ import annotations

from jupyter_wf.engine.machines import Machine
from jupyter_wf.engine.nodes import Live
from jupyter_wf.engine.turns import Class
from jupyter_wf.resources import WHOLE, Amounts, Worker, lacking, serves

PLAIN = Amounts(0)
NOBODY = "waits for a worker: none is here"


def workers(live: Live) -> tuple[Worker, ...]:
    """Return who is here, with what they have and what of it is free."""
    return tuple([_seen(machine) for machine in live.machines.values()])


def _seen(machine: Machine) -> Worker:
    devices = tuple([room.gpu for room in machine.rooms])
    return Worker(machine.name, machine.partition, machine.offer, machine.free, devices)


def unserved(live: Live, where: Class) -> str:
    """Say why no worker that is here can serve tasks of one class, if none can."""
    return lacking(*where, workers(live), live.pooled) if live.machines else NOBODY


def demand(live: Live) -> int:
    """Return how many slots could be used now.

    A slot may come from any worker. So where a task could run on a worker of which we have none,
    while it can't run everywhere, it takes all slots to be sure to have one there.
    """
    tasks = len(live.ready) + len(live.serials)
    if len(live.ready) and any(map(_is_choosy, live.ready.kinds())):
        idle = [machine for machine in live.machines.values() if not machine.leases]
        for partition, need in live.ready.kinds() if idle else ():
            if any(
                serves(one.offer, need) and (not live.pooled or partition in (None, one.partition))
                for one in idle
            ) and _is_choosy((partition, need)):
                slots = sum(machine.offer.cpu for machine in live.machines.values()) // WHOLE
                return max(tasks, slots)
    return tasks


def _is_choosy(where: Class) -> bool:
    """Whether there may be workers that can't serve a class."""
    return where[0] is not None or where[1]._replace(cpu=0) != PLAIN
