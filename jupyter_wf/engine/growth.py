"""Where a computation stands that was handed on: enough of the graph to go on from there.

A task that has handed its outputs on has no value of its own yet, only tasks under way. So that a
crash does not send it back to its beginning, what those tasks are is noted from time to time: not
every step, because most of what is added is done before anybody could lose it. Whatever is noted
is a consistent cut, since keys say what a task computes and values never change.
"""

from __future__ import annotations

from dataclasses import replace

from jupyter_wf.engine import asking
from jupyter_wf.engine.asking import take_on
from jupyter_wf.engine.children import look_up
from jupyter_wf.engine.delegation import watch
from jupyter_wf.engine.ends import settle_reads
from jupyter_wf.engine.nodes import Live, Node
from jupyter_wf.engine.signals import Grown, Note, Snapshot, Submit
from jupyter_wf.engine.telling import change
from jupyter_wf.events import FINAL, TasksSpawned

#: The longest pause between two notes of one computation, in seconds; each is twice the last.
LONGEST = 10.0
#: Seconds between two notes for each task in them, so that wide graphs are not noted all the time.
EACH = 1e-4


def submit(live: Live, asked: Submit) -> None:
    """Take on jobs, and let those go on that were noted to be under way."""
    asking.submit(live, asked)
    for found in asked.snapshots:
        go_on(live, found)


def note(live: Live) -> None:
    """Note what is due."""
    for key, (due, pause, before) in [*live.growing.items()]:
        node = live.tasks.get(key)
        if node is None or not node.delegates or node.accepted:
            del live.growing[key]
        elif due <= live.now:
            found = snapshot(live, node)
            seen = before
            if found is not None:
                seen = tuple([one.job.key for one in found.grown])
                if seen != before:
                    live.instructions.append(Note(found))
            longer = max(min(2 * pause, LONGEST), EACH * len(seen))
            live.growing[key] = (live.now + longer, longer, seen)


def snapshot(live: Live, root: Node) -> Snapshot | None:
    """Return where a computation stands; None if it needs a value that is not durable."""
    values = live.values
    known: dict[str, str] = {}
    grown: dict[str, Grown] = {root.job.key: _grown(root)}
    todo = [*root.delegates]
    while todo:
        data = todo.pop()
        datum = values.data[data]
        if datum.content is not None and values.contents[datum.content].durable:
            known[data] = datum.content
            continue
        maker = live.tasks.get(datum.producer or "")
        if maker is None or data in maker.given or maker.state in {"error", "cancelled"}:
            return None
        if maker.job.key not in grown:
            grown[maker.job.key] = _grown(maker)
            todo.extend(maker.delegates or [name for _, name in maker.job.inputs])
    return Snapshot(root.job.key, tuple(reversed(grown.values())), known)


def _grown(node: Node) -> Grown:
    return Grown(node.job, node.delegates, node.recipe, node.read)


def go_on(live: Live, found: Snapshot) -> None:
    """Let a task that was just taken on go on from where it was noted to be."""
    root = live.tasks.get(found.key)
    if root is None or root.state in FINAL or root.serial or root.delegates:
        return
    fresh = [one for one in found.grown if one.job.key not in live.tasks]
    named = tuple([(one.job.key, one.job.name) for one in fresh])
    if named:
        live.events.append(TasksSpawned(live.now, found.key, named))
    jobs = [replace(one.job, inputs=()) if one.delegates else one.job for one in fresh]
    take_on(live, tuple(jobs), found.known, root.run, found.key)
    for one in found.grown:
        node = live.tasks[one.job.key]
        if one.delegates and (node is root or one in fresh):
            _hand_on_again(live, node, one)
    for one in fresh:
        look_up(live, live.tasks[one.job.key])
    watch(live, root)


def _hand_on_again(live: Live, node: Node, one: Grown) -> None:
    """Bring a task back to where it had handed its outputs on."""
    settle_reads(live, node)
    live.ready.discard(node.job.key)
    node.job, node.missing, node.recipe, node.read = one.job, {}, one.recipe, one.read
    node.delegates = one.delegates
    for (_, own), target in zip(one.job.outputs, one.delegates, strict=True):
        live.values.datum(target).followers[own] = None
    change(live, node, "waiting", "goes on where it was handed on")
    live.unsettled.append(node.job.key)
