"""How a task of the live graph goes from state to state until it ends.

A value that comes makes its readers ready; one that is lost makes them wait, and is computed again.
"""

from __future__ import annotations

from jupyter_wf.engine.ends import answer, fall, unfollow, unlink
from jupyter_wf.engine.nodes import Live, Node
from jupyter_wf.engine.packing import class_of
from jupyter_wf.engine.serving import unserved
from jupyter_wf.engine.telling import change
from jupyter_wf.engine.values import Datum


def wait_for(live: Live, node: Node, data: str) -> None:
    """Make a task wait for a value that is gone; one that runs has it already."""
    if node.active and not node.serial:
        node.missing[data] = None
        live.ready.discard(node.job.key)
        if node.state != "waiting":
            change(live, node, "waiting", "a value it reads is computed again")


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


# -- values that are lost --------------------------------------------------------------------------


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
