"""What people ask of the live graph: to compute, to cancel and to forget."""

from __future__ import annotations

from jupyter_wf.engine.abc import Job
from jupyter_wf.engine.nodes import Live, Node
from jupyter_wf.engine.signals import Cancel, Forget, Submit
from jupyter_wf.engine.transitions import (
    blame,
    change,
    discard,
    doom_readers,
    fall,
    unlink,
    wait_for,
)
from jupyter_wf.errors import EngineError
from jupyter_wf.events import FINAL


def submit(live: Live, asked: Submit) -> None:
    """Take on jobs that are new, or that ended badly; refuse all if one can't have its inputs."""
    fresh: dict[str, Job] = {}
    for job in asked.jobs:
        old = live.tasks.get(job.key)
        again = old is not None and old.state in FINAL and not job.requirements.cache
        if old is None or old.state in {"error", "cancelled"} or again:
            fresh[job.key] = job
    made = {data for job in fresh.values() for _, data in job.outputs}
    held = live.values.data
    for job in fresh.values():
        for slot, data in job.inputs:
            if data not in made and data not in held and data not in asked.known:
                raise EngineError(
                    f"Task {job.name!r} reads {slot!r}, which no task makes and nobody gave. "
                    f"Submit the task that makes it as well."
                )
    for job in fresh.values():
        _add(live, job, asked.run)
    for job in fresh.values():
        node = live.tasks[job.key]
        for _, data in job.inputs:
            datum = live.values.read(data, job.key)
            maker = live.tasks.get(datum.producer) if datum.producer else None
            if not live.values.available(datum) and (maker is None or not maker.active):
                if data in asked.known:
                    live.values.attach(datum, asked.known[data], 0, durable=True)
            if not live.values.available(datum):
                node.missing.add(data)
        if not node.missing:
            live.unsettled.append(job.key)
    for job in fresh.values():
        node = live.tasks[job.key]
        for data in sorted(node.missing):
            producer = live.values.data[data].producer
            maker = live.tasks.get(producer) if producer else None
            if node.state != "cancelled" and (maker is None or not maker.active):
                fall(live, node, "cancelled", blame(maker, data))


def _add(live: Live, job: Job, run: str) -> None:
    old = live.tasks.get(job.key)
    if old is not None:
        unlink(live, old)
    live.order += 1
    node = live.tasks[job.key] = Node(job, live.order, run)
    change(live, node, "waiting")
    for _, data in job.outputs:
        datum = live.values.datum(data)
        datum.producer = job.key
        if datum.content is not None:
            live.values.detach(datum)
        for reader in datum.readers:
            wait_for(live, live.tasks[reader], data)


def cancel(live: Live, asked: Cancel) -> None:
    """Stop tasks, and all that need them."""
    for key in asked.tasks:
        node = live.tasks.get(key)
        if node is None:
            continue
        if node.active:
            fall(live, node, "cancelled", asked.why)
        else:
            doom_readers(live, node, f"`{node.job.name}` was cancelled")


def forget(live: Live, asked: Forget) -> None:
    """Drop tasks, with their values, once they have ended."""
    for key in asked.tasks:
        discard(live, key)
