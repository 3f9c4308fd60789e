"""How a task of the live graph ends, and takes others with it.

One that ends lets go of what it read; one that fails or is cancelled cancels all that need it, and
what runs of them is interrupted.
"""

from __future__ import annotations

from jupyter_wf.engine.nodes import Live, Node
from jupyter_wf.engine.packing import Lease
from jupyter_wf.engine.signals import Interrupt, Provide, Source
from jupyter_wf.engine.telling import change, tell
from jupyter_wf.events import FINAL, Failure, State, TaskFailed

#: Seconds between asking an attempt to stop and ending its process.
GRACE = 1.0
#: What a body that waits for a cancelled task is told.
STOPPED = "TaskCancelledError"


def done(live: Live, node: Node, state: State, why: str = "") -> None:
    """End a task well."""
    change(live, node, state, why, node.worker)
    if node.delegates:
        unfollow(live, node)
    settle_reads(live, node)


def settle_reads(live: Live, node: Node) -> None:
    """Let go of what a task read, and of its own values if nobody reads them."""
    for _, data in node.job.inputs:
        live.values.unread(data, node.job.key)
        if live.children:
            live.loosened.append(data)
    for _, data in node.job.outputs:
        datum = live.values.data.get(data)
        if datum is not None and datum.content is not None:
            live.values.rest(datum.content)
        if node.root:
            live.loosened.append(data)
    if node.doomed:
        discard(live, node.job.key)


def discard(live: Live, key: str) -> None:
    """Drop a task with its values: now if it has ended, else when it will have."""
    node = live.tasks.get(key)
    if node is None:
        return
    if node.state not in FINAL:
        node.doomed = True
        return
    unlink(live, node)
    del live.tasks[key]
    live.children -= bool(node.root)
    live.values.disown((*(data for _, data in node.job.outputs), *node.given), key)


def unlink(live: Live, node: Node) -> None:
    """Let nobody take a task's values for those of its recipe."""
    if live.recipes.get(node.recipe) == node.job.key:
        del live.recipes[node.recipe]


def error(live: Live, node: Node, failure: Failure, *, spare: bool = False) -> None:
    """End a task badly, and cancel all that need it unless they are to be spared."""
    tell(live, node, TaskFailed(live.now, node.job.key, node.worker, node.number, failure))
    change(live, node, "error", f"{failure.type}: {failure.message}"[:200])
    node.accepted = 0
    unfollow(live, node)
    doom_readers(live, node, f"`{node.job.name}` failed", failure, spare=spare)
    settle_reads(live, node)


def fall(live: Live, node: Node, state: State, why: str) -> None:
    """Cancel a task, and all that need it."""
    _stop(live, node, state, why)
    cause = why if why != "by you" else f"`{node.job.name}` was cancelled"
    doom_readers(live, node, cause)
    settle_reads(live, node)


def doom_readers(
    live: Live, node: Node, why: str, failure: Failure | None = None, *, spare: bool = False
) -> None:
    """Cancel all that need a task; what handed its output on to one that failed has failed too.

    Those that read its values are spared if they exist, although they can't be kept.
    """
    todo, fallen = [node], []
    while todo:
        for _, data in todo.pop().job.outputs:
            datum = live.values.data.get(data)
            if datum is None:
                continue
            for reader in [*datum.readers]:
                other = live.tasks[reader]
                if other.active and not spare:
                    _stop(live, other, "cancelled", why)
                    todo.append(other)
                    fallen.append(other)
            for follower in [*datum.followers]:
                other = live.tasks[live.values.data[follower].producer or ""]
                if not (other.active or spare):
                    continue
                if failure is not None:
                    event = TaskFailed(live.now, other.job.key, other.worker, other.number, failure)
                    tell(live, other, event)
                _stop(live, other, "cancelled" if failure is None else "error", why)
                todo.append(other)
                fallen.append(other)
            for serial in datum.waiters:
                answer(live, serial, data, None, failure or Failure(STOPPED, why, ""))
    for other in fallen:
        settle_reads(live, other)


def _stop(live: Live, node: Node, state: State, why: str) -> None:
    live.ready.discard(node.job.key)
    drop_copy(live, node)
    serial, node.serial = node.serial, 0
    if serial:
        live.serials.pop(serial, None)
        for child in live.guarded.get(serial, ()):
            live.loosened.extend([data for _, data in live.tasks[child].job.outputs])
        part(live, serial)
        lease = live.leases.get(node.lease)
        if lease is not None and (serial in lease.hands or serial in lease.parked):
            interrupt(live, lease, serial)
    unfollow(live, node)
    live.writing.pop(node.accepted, None)
    node.accepted = 0
    change(live, node, state, why)


def drop_copy(live: Live, node: Node) -> None:
    """Stop the second attempt at a task, if there is one."""
    serial, node.copy = node.copy, 0
    if serial:
        live.serials.pop(serial, None)
        part(live, serial)
        lease = live.leases.get(node.spare)
        if lease is not None and serial in lease.hands:
            interrupt(live, lease, serial)
    node.spare = ""


def interrupt(live: Live, lease: Lease, serial: int) -> None:
    """Ask an attempt to stop, once."""
    if serial not in live.alarms:
        live.alarms[serial] = (live.now + GRACE, lease.nonce)
        live.instructions.append(Interrupt(lease.machine.name, lease.nonce, serial))


# -- who waits for it no more, or is told ----------------------------------------------------------


def part(live: Live, serial: int) -> None:
    """Note that an attempt, which has ended, refers to its children no more."""
    for data in live.waits.pop(serial, ()):
        datum = live.values.data.get(data)
        if datum is not None:
            datum.waiters.pop(serial, None)
            live.values.loosen(datum)
            live.loosened.append(data)
    for key in live.guarded.pop(serial, ()):
        node = live.tasks.get(key)
        if node is not None:
            node.guards -= 1
            live.loosened.extend([data for _, data in node.job.outputs if node.state in FINAL])


def unfollow(live: Live, node: Node) -> None:
    """Let a task's outputs no longer be those of others."""
    for (_, own), other in zip(node.job.outputs, node.delegates, strict=False):
        datum = live.values.data.get(other)
        if datum is not None:
            datum.followers.pop(own, None)
            live.loosened.append(other)
    node.delegates = ()


def answer(
    live: Live, serial: int, data: str, source: Source | None, failure: Failure | None = None
) -> None:
    """Tell an attempt what has become of a data that it waits for."""
    node = live.tasks.get(live.serials.get(serial, ""))
    lease = live.leases.get(node.lease) if node is not None else None
    if lease is not None:
        order = Provide(lease.machine.name, lease.nonce, serial, data, source, failure)
        live.instructions.append(order)
