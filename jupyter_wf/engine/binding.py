"""Ready tasks are handed to leases, and the demand for more leases is told."""

from __future__ import annotations

import math
from functools import partial

from jupyter_wf.engine.nodes import Live, Node
from jupyter_wf.engine.packing import Lease, assign, assign_next
from jupyter_wf.engine.serving import demand
from jupyter_wf.engine.signals import Attempt, Demand, HandOver
from jupyter_wf.engine.telling import change
from jupyter_wf.resources import Amounts

#: Bytes of input from which it matters where a task runs.
HEAVY = 64_000
SAMPLE = 100


def dispatch(live: Live) -> None:
    """Hand over as much as the leases have room for; tell the demand if it says anything new."""
    batches: dict[str, list[Attempt]] = {}
    if not live.full and len(live.ready) and live.leases:
        assign(
            live.ready,
            live.leases.values(),
            partial(_expect, live),
            partial(_weigh, live),
            partial(_bind, live, batches),
            live.turns,
            live.pooled,
            live.now,
        )
        if len(live.ready):
            assign_next(
                live.ready,
                live.leases.values(),
                partial(_expect, live),
                partial(_fetches, live),
                partial(_bind, live, batches),
                live.pooled,
            )
        # What is left waits for a lease to have room, or for a task with other needs.
        live.full = bool(len(live.ready))
    for nonce, attempts in batches.items():
        worker = live.leases[nonce].machine.name
        live.instructions.append(HandOver(worker, nonce, tuple(attempts)))
    tasks = demand(live)
    if tasks != live.demanded and (tasks > len(live.leases) or not tasks or not live.demanded):
        live.demanded = tasks
        live.instructions.append(Demand(tasks))


def slots(live: Live, horizon: float) -> int:
    """Return how many slots would end what is ready within `horizon` seconds, from a sample.

    A task that may take longer, or whose duration nobody knows, is worth a slot of its own.
    """
    busy = sum(1 for lease in live.leases.values() if lease.hands)
    sample = live.ready.sample(SAMPLE)
    if not sample:
        return busy
    seconds = sum(min(_expect(live, key), horizon) for key in sample)
    return busy + math.ceil(seconds / horizon * len(live.ready) / len(sample))


def attempt_of(live: Live, node: Node, serial: int, lease: Lease) -> Attempt:
    """Return what a lease is to be handed of a task that has just been bound to it."""
    data = live.values.data
    sources = tuple([live.values.source(data[name]) for _, name in node.job.inputs])
    gpus = tuple([room.device.name for room in lease.grant]) if lease.grant else ()
    return Attempt(serial, node.number, node.job, node.recipe, sources, node.run, gpus)


def _expect(live: Live, key: str) -> float:
    return live.durations.expect(live.tasks[key].job.code.fingerprint)


def _weigh(live: Live, key: str) -> dict[str, int]:
    held: dict[str, int] = {}
    for _, data in live.tasks[key].job.inputs:
        content = live.values.contents[live.values.data[data].content or ""]
        if content.nbytes >= HEAVY:
            for worker in content.holders:
                held[worker] = held.get(worker, 0) + content.nbytes
    return held


def _fetches(live: Live, key: str, worker: str) -> int:
    nbytes = 0
    for _, data in live.tasks[key].job.inputs:
        content = live.values.contents[live.values.data[data].content or ""]
        if worker not in content.holders:
            nbytes += content.nbytes
    return nbytes


def _bind(
    live: Live,
    batches: dict[str, list[Attempt]],
    key: str,
    lease: Lease,
    seconds: float,
    need: Amounts,
) -> None:
    node = live.tasks[key]
    live.serial += 1
    serial = node.serial = live.serial
    node.number += 1
    node.lease, node.worker = lease.nonce, lease.machine.name
    live.serials[serial] = key
    if not lease.hands:
        lease.since = live.now
    lease.take(serial, seconds, need)
    batches.setdefault(lease.nonce, []).append(attempt_of(live, node, serial, lease))
    change(live, node, "running", "", lease.machine.name)
