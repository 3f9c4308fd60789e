"""Leases come and go, workers fall silent or die, and time passes."""

from __future__ import annotations

from jupyter_wf.engine.answers import attempt_failed, current, died, timeout
from jupyter_wf.engine.copies import copy_stragglers, next_look
from jupyter_wf.engine.ends import GRACE, interrupt, part, settle_reads
from jupyter_wf.engine.growth import note
from jupyter_wf.engine.machines import Machine, Room
from jupyter_wf.engine.nodes import Live, Node
from jupyter_wf.engine.packing import PATIENCE, Lease
from jupyter_wf.engine.serving import unserved
from jupyter_wf.engine.signals import (
    Interrupt,
    LeaseEnded,
    LeaseJoined,
    Leaving,
    Recall,
    Suspect,
    Tick,
    WorkerJoined,
    WorkerLost,
)
from jupyter_wf.engine.starving import more_memory
from jupyter_wf.engine.telling import change
from jupyter_wf.engine.transitions import again, losing, release, revive

#: Seconds between two looks for leases that will soon have room.
OFTEN = 0.005


def came(live: Live, news: WorkerJoined) -> None:
    """Take in a worker."""
    _machine(live, news)


def _machine(live: Live, news: WorkerJoined | LeaseJoined) -> Machine:
    machine = live.machines.get(news.worker)
    if machine is None:
        devices = news.offer.devices
        rooms = tuple([live.rooms.setdefault(one.id, Room(one)) for one in devices])
        machine = Machine(news.worker, news.partition, news.offer, rooms)
        live.machines[news.worker] = machine
        live.pooled = live.pooled or news.partition is not None
        _tell_unserved(live)
    return machine


def joined(live: Live, news: LeaseJoined) -> None:
    """Take in a slot, and the worker it is in if that is new."""
    machine = _machine(live, news)
    machine.leases.add(news.nonce)
    live.leases[news.nonce] = Lease(news.nonce, machine)


def ended(live: Live, news: LeaseEnded) -> None:
    """Let go of a slot; what it had not answered starts anew."""
    lease = live.leases.pop(news.nonce, None)
    if lease is None:
        return
    _take_back(live, lease, "its slot was given back", blame=False)
    lease.machine.leases.discard(news.nonce)


def lost(live: Live, news: WorkerLost) -> None:
    """Let go of a worker; what ran in it starts anew, and what only it held is computed again."""
    machine = live.machines.pop(news.worker, None)
    blame = news.worker not in live.condemned
    live.condemned.discard(news.worker)
    for nonce in sorted(machine.leases) if machine else ():
        _take_back(live, live.leases.pop(nonce), news.why, blame=blame, starved=news.starved)
    losing(live, live.values.worker_lost(news.worker), news.why, look=True)
    _unwritten(live, news)
    if machine is not None:
        _part(live, machine)
        _tell_unserved(live)


def _part(live: Live, machine: Machine) -> None:
    """Forget the devices of a worker that no other one has."""
    live.turns.lost(machine)
    others = {room.device.id for other in live.machines.values() for room in other.rooms}
    for room in machine.rooms:
        if room.device.id not in others:
            del live.rooms[room.device.id]


def _tell_unserved(live: Live) -> None:
    """Say on the ready tasks what changed for them: that no worker can serve them, or one can."""
    known, live.unserved = live.unserved, {}
    for _, where in live.ready.classes():
        before = known.get(where, "")
        now = live.unserved[where] = unserved(live, where)
        for key in live.ready.members(where) if now != before else ():
            node = live.tasks[key]
            if now or node.why == before:
                change(live, node, "ready", now)


def _unwritten(live: Live, news: WorkerLost) -> None:
    """Have done again what a lost worker was to write, though a peer may still hold the values."""
    for serial, key in [*live.writing.items()]:
        node = live.tasks[key]
        if node.worker != news.worker:
            continue
        if serial == node.writing:
            del live.writing[serial]
            node.writing = 0
            settle_reads(live, node)
        elif not node.delegates:
            revive(live, node, news.why)
            again(live, node, news.why, look=True)


def suspect(live: Live, news: Suspect) -> None:
    """Give a silent worker nothing until it is heard."""
    machine = live.machines.get(news.worker)
    if machine is not None:
        machine.suspect = news.silent


def leaving(live: Live, news: Leaving) -> None:
    """Give a worker that is about to go nothing any more."""
    machine = live.machines.get(news.worker)
    if machine is not None:
        machine.leaving = True


def _take_back(live: Live, lease: Lease, why: str, *, blame: bool, starved: bool = False) -> None:
    """Take everything out of a lease's hands; its first task may have been the cause."""
    parked = [*lease.parked]
    lease.parked.clear()
    for place, serial in enumerate([*lease.hands, *parked]):
        lease.give(serial)
        part(live, serial)
        live.alarms.pop(serial, None)
        live.early.pop(serial, None)
        node = current(live, serial)
        if node is None:
            continue
        if node.overdue:
            attempt_failed(live, node, *timeout(node))
        elif blame and place == 0 and _ended(live, node, lease, why, starved=starved):
            continue
        else:
            again(live, node, why, look=True)


def _ended(live: Live, node: Node, lease: Lease, why: str, *, starved: bool) -> bool:
    """Deal with a task under which its worker ended; False if it is to start anew as it was."""
    if starved and more_memory(live, node, lease.machine, "memory", why):
        return True
    return died(live, node, why)


# -- time ------------------------------------------------------------------------------------------


def tick(live: Live, _: Tick) -> None:
    """Stop what had its time, by force if it was asked before; call back what queues behind."""
    for serial, (at, nonce) in [*live.alarms.items()]:
        if at <= live.now and nonce in live.leases:
            worker = live.leases[nonce].machine.name
            live.condemned.add(worker)
            live.alarms[serial] = (live.now + 30 * GRACE, nonce)
            live.instructions.append(Interrupt(worker, nonce, serial, hard=True))
    note(live)
    for held in [held for held, until in live.paused.items() if until <= live.now]:
        release(live, live.tasks[held])
    idle = not len(live.ready) and any(
        not lease.hands and not lease.machine.shut for lease in live.leases.values()
    )
    for lease in live.leases.values():
        for serial, since in lease.parked.items():
            _watch_limit(live, lease, serial, since)
        head = next(iter(lease.hands), None)
        if head is None:
            continue
        _watch_limit(live, lease, head, lease.since)
        waited = idle and live.now >= lease.since + PATIENCE
        if len(lease.hands) > 1 and (waited or lease.late(live.now)):
            live.instructions.append(Recall(lease.machine.name, lease.nonce))
    copy_stragglers(live)


def _watch_limit(live: Live, lease: Lease, serial: int, since: float) -> None:
    """Stop an attempt that has run since then, if that is longer than it may."""
    node = live.tasks.get(live.serials.get(serial, ""))
    limit = node.job.requirements.timeout if node is not None else None
    if node is not None and limit is not None and live.now >= since + limit:
        node.overdue = True
        interrupt(live, lease, serial)


def deadline(live: Live) -> float | None:
    """Return when a `Tick` is due, if ever."""
    times = [*live.paused.values(), *(at for at, _ in live.alarms.values())]
    times += [due for due, _, _ in live.growing.values()]
    times += next_look(live)
    for lease in live.leases.values():
        head = next(iter(lease.hands), None)
        first = {} if head is None else {head: lease.since}
        for serial, since in (first | lease.parked).items():
            key = live.serials.get(serial)
            limit = live.tasks[key].job.requirements.timeout if key else None
            if limit is not None and serial not in live.alarms:
                times.append(since + limit)
        if len(lease.hands) > 1:
            times.append(max(lease.since + PATIENCE, live.now + PATIENCE / 2))
        room = lease.due() if live.full else None
        if room is not None and room > live.now:
            times.append(max(room, live.now + OFTEN))
    return min(times, default=None)
