"""What a task gives may be known before it runs: the same code has read the same values.

Whether it has is looked up when a task's inputs are complete; if it hasn't, the task is ready.
"""

from __future__ import annotations

from jupyter_wf.engine.delegation import resolve
from jupyter_wf.engine.ends import done, settle_reads
from jupyter_wf.engine.nodes import Live, Node
from jupyter_wf.engine.signals import Remember
from jupyter_wf.engine.telling import supersede, tell
from jupyter_wf.engine.transitions import enqueue, provide
from jupyter_wf.events import TaskCached, TaskComputed
from jupyter_wf.fingerprint import recipe
from jupyter_wf.records import Record, Stored


def settle(live: Live) -> None:
    """Look up, and else enqueue, the tasks whose inputs are complete."""
    while live.unsettled:
        node = live.tasks.get(live.unsettled.popleft())
        if node is None or node.state != "waiting" or node.missing:
            continue
        if node.job.key in live.paused:
            continue
        if node.delegates:
            resolve(live, node)
            continue
        job, data = node.job, live.values.data
        node.recipe = recipe(
            job.code.fingerprint,
            job.call.digest if job.call is not None else None,
            [(slot, data[key].content or "") for slot, key in job.inputs],
        )
        if not (job.requirements.cache and _cut_off(live, node)):
            # A task that starts anew says why.
            enqueue(live, node, node.why if node.number else "")


def _cut_off(live: Live, node: Node) -> bool:
    """End a task early if the same code has read the same values before."""
    job, contents = node.job, live.values.contents
    twin, found = live.tasks.get(live.recipes.get(node.recipe, "")), {}
    record: Record | None = None
    dropped = live.remembered.get(node.recipe)
    if twin is not None:
        found = {o: s for (o, _), s in zip(twin.job.outputs, twin.outputs, strict=True)}
        if not all(s.id in contents and contents[s.id].durable for s in found.values()):
            if live.shared:
                found = {}
    elif dropped is not None:
        found = {o: s for (o, _), s in zip(job.outputs, dropped, strict=True)}
    elif (record := live.find(node.recipe)) is not None:
        found = dict(record.outputs)
    if not all(output in found for output, _ in job.outputs):
        return False
    named = tuple((output, found[output]) for output, _ in job.outputs)
    live.recipes.setdefault(node.recipe, job.key)
    take_over(live, node, named, durable=twin is None)
    if record is not None and record.key == job.key and node.number:
        tell(
            live,
            node,
            TaskComputed(live.now, job.key, record.worker, node.number, record.seconds, named),
        )
        node.worker = record.worker
        done(live, node, "stored", "committed before its worker was lost")
        return True
    why = "same code read the same values"
    if all(contents[stored.id].durable for stored in node.outputs):
        inputs = tuple((s, d, live.values.data[d].content or "") for s, d in job.inputs)
        parts = job.code.parts
        live.instructions.append(
            Remember(Record(job.key, node.recipe, job.name, parts, inputs, named, node.run))
        )
        supersede(live, job.key)
        tell(live, node, TaskCached(live.now, job.key, named, why))
        node.state, node.why = "cached", why
        settle_reads(live, node)
    else:
        tell(live, node, TaskComputed(live.now, job.key, "", 0, 0.0, named))
        done(live, node, "stored", why)
    return True


def take_over(
    live: Live, node: Node, outputs: tuple[tuple[str, Stored], ...], *, durable: bool
) -> None:
    """Give a task values that were computed before, by output."""
    node.outputs = tuple(stored for _, stored in outputs)
    for (_, key), stored in zip(node.job.outputs, node.outputs, strict=True):
        datum = live.values.datum(key)
        live.values.attach(datum, stored, durable=durable)
        provide(live, datum)
