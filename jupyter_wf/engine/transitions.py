"""How a task of the live graph goes from state to state, and takes others with it.

A value that comes makes its readers ready, one that is lost makes them wait; a task that fails or
is cancelled cancels all that need it.
"""

from __future__ import annotations

from jupyter_wf.engine.nodes import Live, Node
from jupyter_wf.engine.packing import Lease, class_of
from jupyter_wf.engine.serving import unserved
from jupyter_wf.engine.signals import Interrupt, Provide, Source
from jupyter_wf.engine.values import Datum
from jupyter_wf.events import (
    FINAL,
    Failure,
    State,
    TaskCached,
    TaskComputed,
    TaskFailed,
)

#: Seconds between asking an attempt to stop and ending its process.
GRACE = 1.0
#: What a body that waits for a cancelled task is told.
STOPPED = "TaskCancelledError"


def change(live: Live, node: Node, state: State, why: str = "", worker: str = "") -> None:
    """Put a task into a state, and tell it."""
    node.state = state
    node.why = why
    key = node.job.key
    if live.paused:
        live.paused.pop(key, None)
    before = supersede(live, key)
    why = why or before
    if state in FINAL and not node.root:
        live.urgent = True
    live.latest[key] = len(live.events)
    live.events.append((live.now, key, state, worker, node.number, why))


def tell(live: Live, node: Node, event: TaskComputed | TaskCached | TaskFailed) -> None:
    """Tell what a task came to: at once, unless only other tasks wait for it."""
    live.events.append(event)
    live.urgent = live.urgent or not node.root


def supersede(live: Live, key: str) -> str:
    """Drop the change to a state that lasts no time, so that nobody sees it; return its reason."""
    before = live.latest.pop(key, None)
    if before is None:
        return ""
    old, live.events[before] = live.events[before], None
    assert isinstance(old, tuple)
    return old[-1]


# -- waiting and ready -----------------------------------------------------------------------------


def wait_for(live: Live, node: Node, data: str) -> None:
    """Make a task wait for a value that is gone; one that runs has it already."""
    if node.active and not node.serial:
        node.missing[data] = None
        live.ready.discard(node.job.key)
        if node.state != "waiting":
            change(live, node, "waiting", "a value it reads is computed again")


def again(live: Live, node: Node, why: str, *, look: bool = False) -> None:
    """Let a task that was under way start anew.

    With `look`, what a lost worker may have committed without being able to say so is looked for.
    """
    node.overdue = False
    unfollow(live, node)
    node.missing = {
        data: None
        for _, data in node.job.inputs
        if not live.values.available(live.values.read(data, node.job.key))
    }
    gone = [data for data in node.missing if not coming(live, data)]
    if gone:
        fall(live, node, "cancelled", blame(None, gone[0]))
    elif node.missing:
        change(live, node, "waiting", why)
    elif look:
        change(live, node, "waiting", why)
        live.unsettled.append(node.job.key)
    else:
        enqueue(live, node, why)


def hold_back(live: Live, node: Node, why: str, seconds: float) -> None:
    """Let a task that failed start anew after a while."""
    again(live, node, f"{why}; tried again in {seconds:.2g} s")
    if node.state == "ready":
        live.ready.discard(node.job.key)
        change(live, node, "waiting", node.why)
    if node.state == "waiting":
        live.paused[node.job.key] = live.now + seconds


def release(live: Live, node: Node) -> None:
    """Let a task that was held back start, unless it waits for a value by now."""
    del live.paused[node.job.key]
    if not node.missing:
        enqueue(live, node, node.why)


def coming(live: Live, data: str) -> bool:
    """Whether a value that is not there will be."""
    datum = live.values.data.get(data)
    maker = live.tasks.get(datum.producer) if datum is not None and datum.producer else None
    return maker is not None and maker.active


def blame(maker: Node | None, data: str) -> str:
    """Return why a value that `maker` was to make will not come."""
    if maker is None:
        return f"the value {data[:12]} it reads was dropped"
    if maker.state == "cancelled":
        return maker.why or f"`{maker.job.name}` was cancelled"
    return f"`{maker.job.name}` failed"


def losing(live: Live, lost: list[Datum], why: str, *, look: bool = False) -> None:
    """Have lost values computed again; `look` as in `again`."""
    revived: list[Node] = []
    for datum in lost:
        maker = live.tasks.get(datum.producer) if datum.producer else None
        if maker is not None and _can_revive(maker, datum.key):
            revive(live, maker, why)
            if not (maker.delegates and _still_coming(live, maker, datum.key)):
                revived.append(maker)
        for reader in [*datum.readers]:
            wait_for(live, live.tasks[reader], datum.key)
    for datum in lost:
        if not coming(live, datum.key):
            for reader in [*datum.readers]:
                other = live.tasks.get(reader)
                if other is not None and other.active:
                    fall(live, other, "cancelled", blame(None, datum.key))
            if not datum.readers and datum.producer not in live.tasks:
                live.values.remove(datum)
    for node in revived:
        if node.state == "waiting":
            again(live, node, why, look=look)


def revive(live: Live, node: Node, why: str) -> None:
    """Take back that an attempt of a task was accepted."""
    live.writing.pop(node.accepted, None)
    node.accepted = 0
    unlink(live, node)
    change(live, node, "waiting", why)


def _can_revive(maker: Node, data: str) -> bool:
    """Whether a task must do again what gave this data, which is lost."""
    if maker.state in {"error", "cancelled"}:
        return False
    return not maker.active or (bool(maker.delegates) and data in maker.given)


def _still_coming(live: Live, maker: Node, data: str) -> bool:
    """Whether the tasks to which a task handed its outputs on are still known to make them."""
    return data not in maker.given and all(
        (datum := live.values.data.get(other)) is not None and datum.producer in live.tasks
        for other in maker.delegates
    )


def provide(live: Live, datum: Datum) -> None:
    """Give a value to those who wait for it, and to the data that are to be the same value."""
    todo = [datum]
    while todo:
        datum = todo.pop()
        for reader in datum.readers:
            node = live.tasks[reader]
            if datum.key in node.missing:
                del node.missing[datum.key]
                if not node.missing and node.state == "waiting":
                    live.unsettled.append(reader)
        for serial in datum.waiters:
            answer(live, serial, datum.key, live.values.source(datum))
        for key in datum.followers:
            other = live.values.data[key]
            assert datum.content is not None
            live.values.attach_id(other, datum.content)
            todo.append(other)
            assert other.producer is not None
            live.unsettled.append(other.producer)


def answer(
    live: Live, serial: int, data: str, source: Source | None, failure: Failure | None = None
) -> None:
    """Tell an attempt what has become of a data that it waits for."""
    node = live.tasks.get(live.serials.get(serial, ""))
    lease = live.leases.get(node.lease) if node is not None else None
    if lease is not None:
        order = Provide(lease.machine.name, lease.nonce, serial, data, source, failure)
        live.instructions.append(order)


def unfollow(live: Live, node: Node) -> None:
    """Let a task's outputs no longer be those of others."""
    for (_, own), other in zip(node.job.outputs, node.delegates, strict=False):
        datum = live.values.data.get(other)
        if datum is not None:
            datum.followers.pop(own, None)
            live.loosened.append(other)
    node.delegates = ()


def enqueue(live: Live, node: Node, why: str) -> None:
    """Let a task whose inputs are there start when a lease has room."""
    requirements = node.job.requirements
    where = live.classes.get(requirements)
    if where is None:
        where = live.classes[requirements] = class_of(requirements)
    if node.reserved is not None:
        where = requirements.partition, node.reserved
    if live.ready.add((-requirements.priority, node.order), node.job.key, where):
        live.full = False
    cause = live.unserved.get(where)
    if cause is None:
        cause = live.unserved[where] = unserved(live, where)
    change(live, node, "ready", cause or why)


# -- ends ------------------------------------------------------------------------------------------


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


def interrupt(live: Live, lease: Lease, serial: int) -> None:
    """Ask an attempt to stop, once."""
    if serial not in live.alarms:
        live.alarms[serial] = (live.now + GRACE, lease.nonce)
        live.instructions.append(Interrupt(lease.machine.name, lease.nonce, serial))
