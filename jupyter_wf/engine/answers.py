"""What attempts and the store answer: computed, failed, not run, written or not.

An attempt is accepted once, and only while it is its task's current one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from jupyter_wf.engine.children import adopt
from jupyter_wf.engine.delegation import hand_on, shorten
from jupyter_wf.engine.ends import done, drop_copy, error, part, settle_reads
from jupyter_wf.engine.nodes import Live, Node
from jupyter_wf.engine.retries import may_retry, pause
from jupyter_wf.engine.signals import Durable, Failed, Finished, Missing, Unrun, Unstored
from jupyter_wf.engine.starving import more_memory, out_of
from jupyter_wf.engine.telling import tell
from jupyter_wf.engine.transitions import again, hold_back, losing, provide
from jupyter_wf.errors import WorkflowError
from jupyter_wf.events import Failure, TaskComputed
from jupyter_wf.records import Stored
from jupyter_wf.requirements import kinds_of

#: How many workers may die under a task before it is held to be the cause.
DEATHS = 3


def finished(live: Live, news: Finished) -> None:
    """Accept what an attempt computed: dependents may start, and the store is being written."""
    lease = live.leases.get(news.nonce)
    node = _answered(live, news.nonce, news.serial, wins=True)
    if lease is not None:
        for content in news.loaded:
            live.values.held(content, lease.machine.name)
    if node is None or lease is None:
        if lease is not None:
            for output in news.outputs:
                if not isinstance(output, str):
                    live.values.held(output.id, lease.machine.name)
        return
    live.durations.learn(node.job.code.fingerprint, news.seconds)
    try:
        adopt(live, node, news.serial, news.family)
        if news.outputs and isinstance(news.outputs[0], str):
            if live.shared and news.family.given:
                node.writing = news.serial
                live.writing[news.serial] = node.job.key
            hand_on(live, node, news)
        else:
            _accept(live, node, lease.machine.name, news)
    except WorkflowError as problem:
        error(live, node, Failure(type(problem).__name__, str(problem), ""))
    early = live.early.pop(news.serial, None)
    if isinstance(early, Durable):
        durable(live, early)
    elif early is not None:
        unstored(live, early)
    part(live, news.serial)


def _accept(live: Live, node: Node, worker: str, news: Finished) -> None:
    job, outputs = node.job, cast("tuple[Stored, ...]", news.outputs)
    node.accepted, node.outputs = news.serial, outputs
    node.seconds, node.worker = news.seconds, worker
    named = tuple([(output, one) for (output, _), one in zip(job.outputs, outputs, strict=True)])
    tell(
        live,
        node,
        TaskComputed(
            live.now, job.key, worker, node.number, news.seconds, named, news.cpu, news.grown
        ),
    )
    for (_, data), stored in zip(job.outputs, outputs, strict=True):
        datum = live.values.datum(data)
        live.values.attach(datum, stored)
        live.values.held(stored.id, worker)
        provide(live, datum)
    live.recipes[node.recipe] = job.key
    if live.shared:
        live.writing[news.serial] = job.key
    else:
        done(live, node, "stored")


def failed(live: Live, news: Failed) -> None:
    """Try again what raised, as often as the job allows."""
    node = _answered(live, news.nonce, news.serial)
    part(live, news.serial)
    if node is not None:
        if node.overdue:
            attempt_failed(live, node, *timeout(node))
        elif not _starved(live, node, news):
            attempt_failed(live, node, news.failure, news.kinds)


def _starved(live: Live, node: Node, news: Failed) -> bool:
    """Try a task again with more memory if it had too little."""
    of = out_of(news.failure, news.kinds)
    if not of or not may_retry(replace(node.job.requirements, retries=1), 1, news.kinds):
        return False
    machine = live.leases[news.nonce].machine
    return more_memory(live, node, machine, of, f"attempt {node.number} ran out of memory")


def missing(live: Live, news: Missing) -> None:
    """Have the values that an attempt did not find computed again, and then the task."""
    node = _answered(live, news.nonce, news.serial)
    if node is None:
        return
    why = "an input was no longer where it was expected"
    lost = [datum for content in news.contents for datum in live.values.lose(content)]
    died(live, node, why)
    losing(live, lost, why, look=True)
    if node.active:
        again(live, node, why)


def unrun(live: Live, news: Unrun) -> None:
    """Hand attempts that were called back to whoever has room."""
    lease = live.leases.get(news.nonce)
    for serial in news.serials:
        if lease is not None and lease.give(serial):
            live.alarms.pop(serial, None)
            node = current(live, serial)
            if node is not None:
                node.number -= 1
                again(live, node, "called back: another slot was free")


def durable(live: Live, news: Durable) -> None:
    """End a task whose values the store has."""
    node = _written(live, news)
    if node is None:
        return
    made = () if node.writing else [data for _, data in node.job.outputs]
    for data in (*made, *node.given):
        datum = live.values.data.get(data)
        if datum is not None and datum.content is not None:
            live.values.durable(datum.content)
            _tell_followers(live, datum.content)
    live.values.disown(node.given, node.job.key)
    node.given = ()
    if node.writing:
        node.writing = 0
        settle_reads(live, node)
        shorten(live, node)
    else:
        done(live, node, "stored")


def _tell_followers(live: Live, content: str) -> None:
    """Have tasks looked at that handed their outputs on to what is now durable."""
    found = live.values.contents.get(content)
    for data in found.data if found is not None and len(found.data) > 1 else ():
        maker = live.tasks.get(live.values.data[data].producer or "")
        if maker is not None and maker.delegates:
            live.unsettled.append(maker.job.key)


def unstored(live: Live, news: Unstored) -> None:
    """Fail a task whose values the store does not take; who read them may go on."""
    node = _written(live, news)
    if node is not None:
        error(live, node, Failure("StoreError", news.why, ""), spare=True)


def _written(live: Live, news: Durable | Unstored) -> Node | None:
    serial = news.serial
    if serial in live.serials:
        # A writer may be faster than the answer it belongs to.
        live.early[serial] = news
        return None
    key = live.writing.pop(serial, None)
    node = live.tasks.get(key) if key is not None else None
    return node if node is not None and serial in (node.accepted, node.writing) else None


# -- whose answer it is, and what it means for the task --------------------------------------------


def current(live: Live, serial: int, *, wins: bool = False) -> Node | None:
    """Return the task whose current attempt this is, and end that attempt.

    If there are two, one that `wins` has the other stopped; else the task is left to the other.
    """
    key = live.serials.pop(serial, None)
    node = live.tasks.get(key) if key is not None else None
    if node is None or serial not in {node.serial, node.copy}:
        return None
    if serial == node.copy:
        node.serial, node.copy = node.copy, node.serial
        node.lease, node.spare = node.spare, node.lease
    if node.copy and not wins:
        other = live.leases[node.spare]
        node.serial, node.lease, node.worker = node.copy, node.spare, other.machine.name
        node.copy, node.spare = 0, ""
        return None
    drop_copy(live, node)
    node.serial = 0
    return node


def _answered(live: Live, nonce: str, serial: int, *, wins: bool = False) -> Node | None:
    """Free the lease's hands of an attempt; return its task if it may still commit."""
    lease = live.leases.get(nonce)
    if lease is None:
        return None
    if lease.give(serial):
        lease.since = live.now
    elif lease.parked.pop(serial, None) is None:
        return None
    live.alarms.pop(serial, None)
    return current(live, serial, wins=wins)


def attempt_failed(live: Live, node: Node, failure: Failure, kinds: tuple[str, ...]) -> None:
    """Try a task again, now or after a while, or give it up."""
    node.failures += 1
    asked, key = node.job.requirements, node.job.key
    if not may_retry(asked, node.failures, kinds):
        error(live, node, failure)
        return
    why = f"attempt {node.number} failed with {failure.type}: {failure.message}"[:250]
    seconds = pause(asked, key, node.failures)
    if seconds > 0:
        hold_back(live, node, why, seconds)
    else:
        again(live, node, why)


def died(live: Live, node: Node, why: str) -> bool:
    """Note that an attempt took its worker with it; say whether that was once too often."""
    node.deaths += 1
    if node.deaths < DEATHS:
        return False
    text = f"{node.deaths} worker processes died while running it, the last because: {why}"
    error(live, node, Failure("EngineError", text, ""))
    return True


def timeout(node: Node) -> tuple[Failure, tuple[str, ...]]:
    """Return the failure of a task that ran too long, and its kinds."""
    limit = node.job.requirements.timeout
    failure = Failure("TimeoutError", f"ran longer than its limit of {limit:g} s", "")
    return failure, kinds_of(TimeoutError)
