"""What a task that has not ended waits for, in words.

Only asked for by people, so nothing of it is kept: it is read off the live graph.
"""

from __future__ import annotations

from collections.abc import Iterable

from jupyter_wf.engine.nodes import Live, Node
from jupyter_wf.engine.packing import class_of
from jupyter_wf.engine.serving import unserved

#: Values that are named, of many.
NAMED = 3


def waits_for(live: Live, key: str, now: float) -> str:
    """Return what a task waits for; empty if it has ended, or runs and waits for nothing.

    Parameters
    ----------
    live : Live
    key : str
        The task's.
    now : float
        Seconds since the epoch.
    """
    node = live.tasks.get(key)
    if node is None:
        return ""
    if node.state == "waiting":
        return _waiting(live, node, now)
    if node.state == "ready":
        return _because(node.why, _for_a_slot(live, node))
    if node.state == "running":
        return _running(live, node)
    return ""


def _waiting(live: Live, node: Node, now: float) -> str:
    key = node.job.key
    if node.missing:
        slots = {data: slot for slot, data in node.job.inputs}
        return f"waits for {_list(live, sorted(node.missing), slots)}"
    if key in live.paused:
        failed = node.why.partition("; tried again")[0]
        return f"{failed}; is tried again in {max(0.0, live.paused[key] - now):.2g} s"
    if node.delegates:
        return f"handed on to {_list(live, dict.fromkeys(node.delegates), {})}"
    return node.why


def _running(live: Live, node: Node) -> str:
    if node.accepted:
        return "computed; its values are being written"
    lease = live.leases.get(node.lease)
    waited = [
        data
        for data in live.waits.get(node.serial, ())
        if data in live.values.data and not live.values.available(live.values.data[data])
    ]
    if waited:
        return f"waits in its body for {_list(live, waited, {})}"
    if lease is not None and node.serial in lease.hands:
        before = [*lease.hands].index(node.serial)
        if before:
            return f"bound to a slot of {lease.machine.name}, where {before} run before it"
        if lease.machine.suspect:
            return f"on worker {lease.machine.name}, which is not heard"
    return _because(node.why, "")


def _for_a_slot(live: Live, node: Node) -> str:
    """Say what keeps a task that could start from starting."""
    where = class_of(node.job.requirements)
    partition = where[0]
    said = unserved(live, where)
    if said:
        return said
    of = f" of partition {partition!r}" if partition is not None else ""
    leases = [
        lease
        for lease in live.leases.values()
        if partition is None or lease.machine.partition in {None, partition}
    ]
    shut = sum(lease.machine.shut for lease in leases)
    busy = sum(bool(lease.hands) for lease in leases if not lease.machine.shut)
    rest = len(leases) - shut - busy
    if not leases:
        return f"waits for a slot{of}: no worker has given one yet"
    taken = [f"{busy} busy"] * bool(busy) + [f"{shut} on workers that are not heard"] * bool(shut)
    if rest:
        taken.append(f"{rest} without room for what it needs ({_need(node)})")
    return f"waits for a slot{of}: of {len(leases)}, {', '.join(taken)}"


def _need(node: Node) -> str:
    needs = node.job.requirements
    said = [f"{needs.cpu / 1000:g} cores"]
    said += [f"{needs.gpu / 1000:g} GPUs"] * bool(needs.gpu)
    said += [f"{needs.memory} MB"] * bool(needs.memory)
    return ", ".join(said)


def _list(live: Live, data: Iterable[str], slots: dict[str, str]) -> str:
    """Name values by who makes them, and say in which state that is."""
    found = [*data]
    said = [_one(live, one, slots.get(one)) for one in found[:NAMED]]
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return ", ".join(said) + more


def _one(live: Live, data: str, slot: str | None) -> str:
    datum = live.values.data.get(data)
    maker = live.tasks.get(datum.producer or "") if datum is not None else None
    if maker is None:
        return f"{slot or data[:12]!r}, which nothing makes"
    state = f"running on {maker.worker}" if maker.state == "running" else maker.state
    return (f"{slot!r} of " if slot else "") + f"`{maker.job.name}` ({state})"


def _because(why: str, said: str) -> str:
    """Add to what a task waits for why it came to."""
    if not why or why in said:
        return said
    return f"{said}; {why}" if said else why
