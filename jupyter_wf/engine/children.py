"""Tasks that running tasks add to the graph, and what becomes of them.

They enter it with the accepted answer of the attempt that made them, or before, if its body is
going to wait for one. Their keys say what they compute, so an attempt that is repeated makes the
same ones. What nobody refers to any more is dropped as soon as it is durable: the graph holds what
is under way, however many tasks have been.
"""

from __future__ import annotations

from jupyter_wf.engine.asking import take_on
from jupyter_wf.engine.ends import answer, discard, done, drop_copy, fall
from jupyter_wf.engine.nodes import Live, Node
from jupyter_wf.engine.reuse import take_over
from jupyter_wf.engine.signals import Awaiting, Family, Spawned
from jupyter_wf.engine.telling import supersede, tell
from jupyter_wf.engine.transitions import provide
from jupyter_wf.errors import WorkflowError
from jupyter_wf.events import FINAL, Failure, TaskCached, TasksSpawned

#: How many dropped children are remembered by what they read, so that an equal one is not computed.
REMEMBERED = 20_000


def spawned(live: Live, news: Spawned) -> None:
    """Take in the children of an attempt that has not ended."""
    node = live.tasks.get(live.serials.get(news.serial, ""))
    if node is not None and news.serial == node.copy:
        drop_copy(live, node)  # whoever has children goes on alone
    elif node is not None:
        adopt(live, node, news.serial, news.family)


def awaiting(live: Live, news: Awaiting) -> None:
    """Let an attempt wait, beside its lease's hands, for values that it is told of one by one."""
    node = live.tasks.get(live.serials.get(news.serial, ""))
    lease = live.leases.get(news.nonce)
    if node is None or lease is None:
        return
    if news.serial == node.copy:
        drop_copy(live, node)
        return
    drop_copy(live, node)
    lease.park(news.serial)
    lease.since = live.now
    live.full = False
    for data in news.data:
        datum = live.values.data.get(data)
        maker = live.tasks.get(datum.producer or "") if datum is not None else None
        if datum is not None:
            live.values.expect(datum, news.serial)
            live.waits.setdefault(news.serial, []).append(data)
        if datum is not None and live.values.available(datum):
            answer(live, news.serial, data, live.values.source(datum))
        elif maker is None or not maker.active:
            why = maker.why if maker is not None else "nothing makes it"
            answer(live, news.serial, data, None, Failure("TaskError", why, ""))


def adopt(live: Live, parent: Node, serial: int, family: Family) -> None:
    """Add children to the graph, guarded until the attempt that made them has ended.

    Raises `WorkflowError` if one of them can't be had.
    """
    if not family.jobs and not family.given:
        return
    worker = live.leases[parent.lease].machine.name
    for key, stored in family.given:
        datum = live.values.datum(key)
        live.values.attach(datum, stored)
        live.values.held(stored.id, worker)
        if live.tasks.get(datum.producer or "") is None:
            datum.producer = parent.job.key
        provide(live, datum)
    parent.given = tuple(dict.fromkeys([*parent.given, *(key for key, _ in family.given)]))
    fresh = []
    for job in family.jobs:
        old = live.tasks.get(job.key)
        if old is None or old.state in {"error", "cancelled"}:
            fresh.append(job)
    made = {data for job in fresh for _, data in job.outputs}
    for job in fresh:
        for slot, data in job.inputs:
            if data not in made and data not in live.values.data:
                raise WorkflowError(
                    f"{job.name} reads {slot!r}, which is of another task. Only what a task has "
                    f"invoked itself can be an argument there."
                )
    root = parent.root or parent.job.key
    named = tuple((job.key, job.name) for job in fresh)
    if fresh:
        live.events.append(TasksSpawned(live.now, parent.job.key, named))
    take_on(live, tuple(fresh), {}, parent.run, root)
    guarded = live.guarded.setdefault(serial, [])
    for job in family.jobs:
        live.tasks[job.key].guards += 1
        guarded.append(job.key)
    for job in fresh:
        look_up(live, live.tasks[job.key])


def look_up(live: Live, node: Node) -> None:
    """End a child before it begins if the store knows its key."""
    job = node.job
    record = live.lookup(job.key) if job.requirements.cache and node.state == "waiting" else None
    if record is None:
        return
    outputs = dict(record.outputs)
    if not all(output in outputs for output, _ in job.outputs):
        return
    named = tuple((output, outputs[output]) for output, _ in job.outputs)
    node.missing.clear()
    take_over(live, node, named, durable=True)
    supersede(live, job.key)
    why = "stored by an earlier run"
    tell(live, node, TaskCached(live.now, job.key, named, why))
    done(live, node, "cached", why)


def sweep(live: Live) -> None:
    """Drop the children that nobody refers to: those that have ended, and those no longer needed.

    What was neither read nor handed on when it was added runs to its end all the same.
    """
    values = live.values
    while live.loosened:
        datum = values.data.get(live.loosened.pop())
        node = live.tasks.get(datum.producer or "") if datum is not None else None
        if node is None or not node.root or node.guards or node.writing or node.doomed:
            continue
        if any(values.data[data].wanted for _, data in node.job.outputs):
            continue
        if not live.shared and any(_wanted(live, data) for data in node.given):
            continue
        if node.active:
            fall(live, node, "cancelled", "no task needs it any more")
        if node.state in FINAL:
            if node.state in {"stored", "cached"} and live.shared:
                live.remembered[node.recipe] = node.outputs
                if len(live.remembered) > REMEMBERED:
                    live.remembered.popitem(last=False)
            discard(live, node.job.key)


def _wanted(live: Live, data: str) -> bool:
    datum = live.values.data.get(data)
    return datum is not None and datum.wanted
