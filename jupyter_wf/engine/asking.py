"""What people ask of the live graph: to compute, to cancel and to forget."""

from __future__ import annotations

from collections.abc import Mapping

from jupyter_wf.engine.abc import Job
from jupyter_wf.engine.ends import discard, doom_readers, fall, unlink
from jupyter_wf.engine.nodes import Live, Node
from jupyter_wf.engine.signals import Cancel, Forget, Submit
from jupyter_wf.engine.telling import change
from jupyter_wf.engine.transitions import blame, wait_for
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
        else:
            live.children -= bool(old.root)
            old.root = ""
    made = {data for job in fresh.values() for _, data in job.outputs}
    held = live.values.data
    for job in fresh.values():
        for slot, data in job.inputs:
            if data not in made and data not in held and data not in asked.known:
                raise EngineError(
                    f"Task {job.name!r} reads {slot!r}, which no task makes and nobody gave. "
                    f"Submit the task that makes it as well."
                )
    take_on(live, tuple(fresh.values()), asked.known, asked.run)


def take_on(
    live: Live, jobs: tuple[Job, ...], known: Mapping[str, str], run: str, root: str = ""
) -> None:
    """Add jobs to the graph; children are to run before what is older, the first of them first."""
    live.order += len(jobs)
    lacking: list[Node] = []
    for place, job in enumerate(jobs):
        order = place - live.order if root else place + live.order - len(jobs)
        _add(live, job, order, run, root)
    for job in jobs:
        node = live.tasks[job.key]
        for _, data in job.inputs:
            datum = live.values.read(data, job.key)
            maker = live.tasks.get(datum.producer) if datum.producer else None
            if not live.values.available(datum) and (maker is None or not maker.active):
                if data in known:
                    live.values.attach_id(datum, known[data], durable=True)
            if not live.values.available(datum):
                node.missing[data] = None
        if node.missing:
            lacking.append(node)
        else:
            live.unsettled.append(job.key)
    for node in lacking:
        for data in node.missing:
            producer = live.values.data[data].producer
            maker = live.tasks.get(producer) if producer else None
            if node.state != "cancelled" and (maker is None or not maker.active):
                fall(live, node, "cancelled", blame(maker, data))


def _add(live: Live, job: Job, order: int, run: str, root: str) -> None:
    old = live.tasks.get(job.key)
    if old is not None and not old.root:
        root = ""  # what somebody asked for by name stays, whoever else needs it
    node = live.tasks[job.key] = Node(job, order, run, root=root)
    live.children += bool(root)
    if old is not None:
        live.children -= bool(old.root)
        unlink(live, old)
        node.guards = old.guards
        live.values.disown(old.given, job.key)
    change(live, node, "waiting")
    for _, data in job.outputs:
        datum = live.values.datum(data)
        datum.producer = job.key
        if datum.content is not None:
            live.values.detach(datum)
        for reader in datum.readers:
            wait_for(live, live.tasks[reader], data)


def cancel(live: Live, asked: Cancel) -> None:
    """Stop tasks, all that need them, and what they have added that nobody else needs."""
    keys = frozenset(asked.tasks)
    children = live.tasks.values() if live.children else ()
    added = [node.job.key for node in children if node.root in keys]
    for key in asked.tasks:
        node = live.tasks.get(key)
        if node is None:
            continue
        if node.active:
            fall(live, node, "cancelled", asked.why)
        else:
            doom_readers(live, node, f"`{node.job.name}` was cancelled")
    for key in added:
        node = live.tasks[key]
        wanted = any(live.values.data[data].wanted for _, data in node.job.outputs)
        if node.active and not node.guards and not wanted:
            fall(live, node, "cancelled", asked.why)


def forget(live: Live, asked: Forget) -> None:
    """Drop tasks, with their values, once they have ended."""
    for key in asked.tasks:
        discard(live, key)
