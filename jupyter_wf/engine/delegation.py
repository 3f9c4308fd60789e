"""A task may hand the production of its outputs on to tasks that it has added.

Its own data then *follow* theirs: they are to be the same values. A child that hands on in its turn
is dropped if nobody else refers to it, and who followed it follows its child: so a chain of a
million such steps is never longer than one.
"""

from __future__ import annotations

from jupyter_wf.engine.ends import discard, done, settle_reads
from jupyter_wf.engine.nodes import Live, Node
from jupyter_wf.engine.signals import Finished, Remember
from jupyter_wf.engine.telling import change, tell
from jupyter_wf.engine.transitions import provide
from jupyter_wf.errors import WorkflowError
from jupyter_wf.events import TaskComputed
from jupyter_wf.records import Record

#: Steps for which a task is looked for that hands on to itself.
FAR = 1000
#: Seconds after which a computation that was handed on is noted first.
SOON = 0.25


def hand_on(live: Live, node: Node, news: Finished) -> None:
    """Let the outputs of a task whose attempt has ended be those of its children.

    Raises `WorkflowError` if it would wait for itself.
    """
    job, data = node.job, live.values.data
    targets = tuple(output if isinstance(output, str) else "" for output in news.outputs)
    for (_, own), target in zip(job.outputs, targets, strict=True):
        if _leads_to(live, target, {own, *data[own].followers}):
            raise WorkflowError(
                f"{job.name} hands its output on to a task that waits for that very output. "
                f"Give the recursion an argument that changes, and an end."
            )
    node.seconds, node.worker = news.seconds, live.leases[news.nonce].machine.name
    node.recipe_inputs(data)
    if not node.writing:
        settle_reads(live, node)
    node.delegates = targets
    names = ", ".join(dict.fromkeys(f"`{_name(live, target)}`" for target in targets))
    change(live, node, "waiting", f"handed on to {names}")
    for (_, own), target in zip(job.outputs, targets, strict=True):
        data[target].followers[own] = None
    shorten(live, node)
    watch(live, node)
    for target in dict.fromkeys(targets):
        if live.values.available(data[target]):
            provide(live, data[target])


def watch(live: Live, node: Node) -> None:
    """Have a computation noted that was handed on, if it is one that somebody asked for."""
    if live.shared and not node.root and node.job.requirements.cache:
        live.growing.setdefault(node.job.key, (live.now + SOON, SOON, ()))


def shorten(live: Live, node: Node) -> None:
    """Let who follows a task follow its delegates, and drop it, if nobody else refers to it."""
    data, job = live.values.data, node.job
    if not (node.root and node.delegates) or node.guards or node.given or node.accepted:
        return
    if any(data[own].readers or data[own].waiters for _, own in job.outputs):
        return
    for (_, own), target in zip(job.outputs, node.delegates, strict=True):
        del data[target].followers[own]
        followers, data[own].followers = data[own].followers, {}
        for follower in followers:
            data[target].followers[follower] = None
            maker = live.tasks[data[follower].producer or ""]
            maker.delegates = tuple(target if d == own else d for d in maker.delegates)
    why, node.delegates = node.why, ()
    change(live, node, "stored", why)
    discard(live, job.key)


def resolve(live: Live, node: Node) -> None:
    """Give a task the values that its delegates came to; end it once they are durable."""
    job, values = node.job, live.values
    datums = [values.data[data] for _, data in job.outputs]
    if not all(values.available(datum) for datum in datums):
        return
    contents = [values.contents[datum.content or ""] for datum in datums]
    node.outputs = tuple([c.about for c in contents if c.about is not None])
    named = tuple((o, s) for (o, _), s in zip(job.outputs, node.outputs, strict=True))
    if not node.accepted:
        live.serial += 1
        node.accepted = live.serial
        live.writing[node.accepted] = job.key
        live.recipes[node.recipe] = job.key
        event = TaskComputed(live.now, job.key, node.worker, node.number, node.seconds, named)
        tell(live, node, event)
    if live.shared and not all(content.durable for content in contents):
        return
    del live.writing[node.accepted]
    if live.shared:
        parts, seconds = job.code.parts, node.seconds
        live.instructions.append(
            Remember(
                Record(
                    job.key,
                    node.recipe,
                    job.name,
                    parts,
                    node.read,
                    named,
                    node.run,
                    worker=node.worker,
                    seconds=seconds,
                    time=live.now,
                )
            )
        )
    done(live, node, "stored")


def _leads_to(live: Live, target: str, own: set[str]) -> bool:
    """Whether a data is one of `own`, or follows one of them."""
    for _ in range(FAR):
        if target in own:
            return True
        maker = live.tasks.get(live.values.data[target].producer or "")
        if maker is None or not maker.delegates:
            return False
        outputs = [data for _, data in maker.job.outputs]
        target = maker.delegates[outputs.index(target)]
    return False


def _name(live: Live, data: str) -> str:
    maker = live.tasks.get(live.values.data[data].producer or "")
    return maker.job.name if maker is not None else data[:12]
