"""Stragglers: a task that runs far longer than its code usually does gets a copy elsewhere.

Only where a slot has nothing to do, and only if that is asked for: a task's effects outside its
outputs happen twice by it. Of the two attempts, the first that answers is accepted and the other is
stopped; one that fails leaves the task to the other.
"""

from __future__ import annotations

from jupyter_wf.engine.binding import attempt_of
from jupyter_wf.engine.nodes import Live, Node
from jupyter_wf.engine.packing import Lease, class_of
from jupyter_wf.engine.signals import HandOver
from jupyter_wf.engine.telling import change

#: Seconds for which any attempt may run before it is taken for a straggler.
LEAST = 1.0
#: Seconds until a free slot is looked for again.
AGAIN = 0.25


def copy_stragglers(live: Live) -> None:
    """Start copies of attempts that take far too long, in slots that have nothing to do."""
    if not live.speculate or len(live.ready):
        return
    idle = [lease for lease in live.leases.values() if not lease.hands]
    for lease in [*live.leases.values()] if idle else ():
        at = copy_due(live, lease)
        if at is None or at > live.now:
            continue
        node = live.tasks[live.serials[next(iter(lease.hands))]]
        place = _elsewhere(idle, lease, node)
        if place is not None:
            idle.remove(place)
            _copy(live, node, place)


def copy_due(live: Live, lease: Lease) -> float | None:
    """Return when the attempt that runs in a lease is to have a copy, if ever."""
    serial = next(iter(lease.hands), 0)
    node = live.tasks.get(live.serials.get(serial, "")) if live.speculate else None
    if node is None or node.copy or serial in live.alarms:
        return None
    if serial in live.guarded or serial in live.waits:
        return None  # it has children already, whom a copy would have to share
    usual = live.durations.most(node.job.code.fingerprint)
    return None if usual is None else lease.since + max(LEAST, live.speculate * usual)


def next_look(live: Live) -> list[float]:
    """Return when stragglers are to be looked for."""
    if not live.speculate or len(live.ready):
        return []
    found = [copy_due(live, lease) for lease in live.leases.values()]
    return [max(at, live.now + AGAIN) if at <= live.now else at for at in found if at is not None]


def _elsewhere(idle: list[Lease], lease: Lease, node: Node) -> Lease | None:
    """Return a slot of another worker of the same kind with room for a task."""
    need = class_of(node.job.requirements)[1]
    for place in idle:
        machine = place.machine
        if machine is not lease.machine and machine.partition == lease.machine.partition:
            if not machine.shut and machine.fits(machine.clamped(need)):
                return place
    return None


def _copy(live: Live, node: Node, place: Lease) -> None:
    live.serial += 1
    node.copy, node.spare = live.serial, place.nonce
    node.number += 1
    live.serials[node.copy] = node.job.key
    need = place.machine.clamped(class_of(node.job.requirements)[1])
    place.since = live.now
    place.take(node.copy, live.durations.expect(node.job.code.fingerprint), need)
    worker = place.machine.name
    attempt = attempt_of(live, node, node.copy, place)
    live.instructions.append(HandOver(worker, place.nonce, (attempt,)))
    why = f"takes far longer than usual, so that a copy runs on {worker}"
    change(live, node, "running", why, node.worker)
