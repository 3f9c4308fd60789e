"""The live graph: stimuli in, instructions out; no I/O, no thread, and no clock of its own.

``waiting -> ready -> running -> stored`` is a task's way; ``cached`` ends it early when the same
code has read the same values before, ``error`` and ``cancelled`` end it badly. Between ``running``
and ``stored`` lies the moment at which its attempt is *accepted*: the values exist in a worker's
memory, dependents may start, and the store is being written. A value that is lost before it is
durable is computed again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from jupyter_wf.engine.abc import Job
from jupyter_wf.engine.packing import Class, Durations, Lease, Machine, Ready, assign, need_of
from jupyter_wf.engine.signals import (
    Attempt,
    Cancel,
    Demand,
    Durable,
    Emit,
    Failed,
    Finished,
    Forget,
    HandOver,
    Instruction,
    Interrupt,
    LeaseEnded,
    LeaseJoined,
    Missing,
    Recall,
    Remember,
    Stimulus,
    Submit,
    Suspect,
    Tick,
    Unrun,
    Unstored,
    Vector,
    WorkerLost,
)
from jupyter_wf.engine.values import Datum, Values
from jupyter_wf.errors import EngineError
from jupyter_wf.events import (
    FINAL,
    Event,
    Failure,
    State,
    TaskCached,
    TaskChanged,
    TaskComputed,
    TaskFailed,
)
from jupyter_wf.fingerprint import recipe
from jupyter_wf.records import Record, Stored

#: How many workers may die under a task before it is held to be the cause.
DEATHS = 3
#: Seconds between asking an attempt to stop and ending its process.
GRACE = 1.0
#: Seconds after which work that is queued behind a running task may be called back.
PATIENCE = 0.05
#: Bytes of input from which it matters where a task runs.
HEAVY = 64_000
KEEP = 256_000_000


@dataclass(slots=True)
class Node:
    """One task of the live graph."""

    job: Job
    order: int
    run: str
    state: State = "waiting"
    why: str = ""
    missing: set[str] = field(default_factory=set)
    serial: int = 0
    number: int = 0
    failures: int = 0
    deaths: int = 0
    lease: str = ""
    recipe: str = ""
    accepted: int = 0
    seconds: float = 0.0
    worker: str = ""
    outputs: tuple[Stored, ...] = ()
    overdue: bool = False
    doomed: bool = False

    @property
    def active(self) -> bool:
        """Whether it still has to compute."""
        return self.state not in FINAL and not self.accepted


class LiveGraph:
    """All tasks that an engine holds.

    Parameters
    ----------
    find : callable
        Recipe -> record of the same code having read the same values, if the store has one.
    shared : bool
        Whether attempts are committed to a store; if not, computed values count as stored.
    keep : int
        Bytes of durable values nobody reads now which may stay in the workers' memory.
    """

    def __init__(
        self, find: Callable[[str], Record | None], *, shared: bool = True, keep: int = KEEP
    ) -> None:
        self.tasks: dict[str, Node] = {}
        self.values = Values(keep)
        self.machines: dict[str, Machine] = {}
        self.leases: dict[str, Lease] = {}
        self.durations = Durations()
        self._find = find
        self._shared = shared
        self._ready = Ready()
        self._serials: dict[int, str] = {}
        self._writing: dict[int, str] = {}
        self._early: dict[int, Durable | Unstored] = {}
        self._recipes: dict[str, str] = {}
        self._classes: dict[object, Class] = {}
        self._alarms: dict[int, tuple[float, str]] = {}
        self._condemned: set[str] = set()
        self._settle: deque[str] = deque()
        self._batches: dict[str, list[Attempt]] = {}
        self._events: list[Event | None] = []
        self._latest: dict[str, int] = {}
        self._instructions: list[Instruction] = []
        self._now = 0.0
        self._order = 0
        self._serial = 0
        self._demand = 0
        self._full = False
        self._handlers: dict[type, Callable[..., None]] = {
            Submit: self._submit,
            Cancel: self._cancel,
            Forget: self._forget,
            LeaseJoined: self._joined,
            LeaseEnded: self._ended,
            WorkerLost: self._lost,
            Suspect: self._suspect,
            Finished: self._finished,
            Failed: self._failed,
            Missing: self._missing,
            Unrun: self._unrun,
            Durable: self._durable,
            Unstored: self._unstored,
            Tick: self._tick,
        }

    def handle(self, now: float, *stimuli: Stimulus) -> list[Instruction]:
        """Take in what happened until `now` (seconds since the epoch); return what to do."""
        self._now = now
        for stimulus in stimuli:
            if type(stimulus) is not Submit:
                self._full = False
            self._handlers[type(stimulus)](stimulus)
            self._settled()
        self._dispatch()
        return self._flushed()

    @property
    def writing(self) -> int:
        """How many accepted attempts are not durable yet."""
        return len(self._writing)

    @property
    def demand(self) -> int:
        """How many tasks could use a slot now."""
        return len(self._ready) + len(self._serials)

    def task_of(self, serial: int) -> str | None:
        """Return the task whose current attempt this is, if it is anyone's."""
        return self._serials.get(serial)

    def deadline(self) -> float | None:
        """Return when a `Tick` is due, if ever."""
        times = [at for at, _ in self._alarms.values()]
        for lease in self.leases.values():
            head = next(iter(lease.hands), None)
            key = self._serials.get(head) if head is not None else None
            limit = self.tasks[key].job.requirements.timeout if key else None
            if limit is not None and head not in self._alarms:
                times.append(lease.since + limit)
            if len(lease.hands) > 1:
                times.append(max(lease.since + PATIENCE, self._now + PATIENCE / 2))
        return min(times, default=None)

    # -- what people ask for -------------------------------------------------------------------

    def _submit(self, asked: Submit) -> None:
        fresh: dict[str, Job] = {}
        for job in asked.jobs:
            old = self.tasks.get(job.key)
            again = old is not None and old.state in FINAL and not job.requirements.cache
            if old is None or old.state in {"error", "cancelled"} or again:
                fresh[job.key] = job
        made = {data for job in fresh.values() for _, data in job.outputs}
        held = self.values.data
        for job in fresh.values():
            for slot, data in job.inputs:
                if data not in made and data not in held and data not in asked.known:
                    raise EngineError(
                        f"Task {job.name!r} reads {slot!r}, which no task makes and nobody gave. "
                        f"Submit the task that makes it as well."
                    )
        for job in fresh.values():
            self._add(job, asked.run)
        for job in fresh.values():
            node = self.tasks[job.key]
            for _, data in job.inputs:
                datum = self.values.read(data, job.key)
                maker = self.tasks.get(datum.producer) if datum.producer else None
                if not self.values.available(datum) and (maker is None or not maker.active):
                    if data in asked.known:
                        self.values.attach(datum, asked.known[data], 0, durable=True)
                if not self.values.available(datum):
                    node.missing.add(data)
            if not node.missing:
                self._settle.append(job.key)
        for job in fresh.values():
            node = self.tasks[job.key]
            for data in sorted(node.missing):
                producer = self.values.data[data].producer
                maker = self.tasks.get(producer) if producer else None
                if node.state != "cancelled" and (maker is None or not maker.active):
                    self._fall(node, "cancelled", self._blame(maker, data))

    def _add(self, job: Job, run: str) -> None:
        old = self.tasks.get(job.key)
        if old is not None:
            self._unlink(old)
        self._order += 1
        node = self.tasks[job.key] = Node(job, self._order, run)
        self._change(node, "waiting")
        for _, data in job.outputs:
            datum = self.values.datum(data)
            datum.producer = job.key
            if datum.content is not None:
                self.values.detach(datum)
            for reader in datum.readers:
                self._wait_for(self.tasks[reader], data)

    @staticmethod
    def _blame(maker: Node | None, data: str) -> str:
        if maker is None:
            return f"the value {data[:12]} it reads was dropped"
        if maker.state == "cancelled":
            return maker.why or f"`{maker.job.name}` was cancelled"
        return f"`{maker.job.name}` failed"

    def _cancel(self, asked: Cancel) -> None:
        for key in asked.tasks:
            node = self.tasks.get(key)
            if node is None:
                continue
            if node.active:
                self._fall(node, "cancelled", asked.why)
            else:
                self._doom_readers(node, f"`{node.job.name}` was cancelled")

    def _forget(self, asked: Forget) -> None:
        for key in asked.tasks:
            node = self.tasks.get(key)
            if node is None:
                continue
            if node.state not in FINAL:
                node.doomed = True
                continue
            self._unlink(node)
            del self.tasks[key]
            for _, data in node.job.outputs:
                datum = self.values.data.get(data)
                if datum is not None and datum.producer == key:
                    datum.producer = None
                    if not datum.readers:
                        self.values.remove(datum)

    def _unlink(self, node: Node) -> None:
        if self._recipes.get(node.recipe) == node.job.key:
            del self._recipes[node.recipe]

    # -- leases --------------------------------------------------------------------------------

    def _joined(self, news: LeaseJoined) -> None:
        machine = self.machines.get(news.worker)
        if machine is None:
            machine = Machine(news.worker, news.partition, news.offer, news.offer)
            self.machines[news.worker] = machine
        machine.leases.add(news.nonce)
        self.leases[news.nonce] = Lease(news.nonce, machine)

    def _ended(self, news: LeaseEnded) -> None:
        lease = self.leases.pop(news.nonce, None)
        if lease is None:
            return
        self._return(lease, "its slot was given back", blame=False)
        lease.machine.leases.discard(news.nonce)

    def _lost(self, news: WorkerLost) -> None:
        machine = self.machines.pop(news.worker, None)
        blame = news.worker not in self._condemned
        self._condemned.discard(news.worker)
        for nonce in sorted(machine.leases) if machine else ():
            self._return(self.leases.pop(nonce), news.why, blame=blame)
        self._losing(self.values.worker_lost(news.worker), news.why)

    def _suspect(self, news: Suspect) -> None:
        machine = self.machines.get(news.worker)
        if machine is not None:
            machine.suspect = news.silent

    def _return(self, lease: Lease, why: str, *, blame: bool) -> None:
        """Take everything out of a lease's hands; its first task may have been the cause."""
        for place, serial in enumerate([*lease.hands]):
            lease.give(serial)
            self._alarms.pop(serial, None)
            self._early.pop(serial, None)
            node = self._current(serial)
            if node is None:
                continue
            if node.overdue:
                self._attempt_failed(node, _timeout(node))
            elif blame and place == 0 and self._died(node, why):
                continue
            else:
                self._again(node, why)

    def _died(self, node: Node, why: str) -> bool:
        node.deaths += 1
        if node.deaths < DEATHS:
            return False
        text = f"{node.deaths} worker processes died while running it, the last because: {why}"
        self._error(node, Failure("EngineError", text, ""))
        return True

    # -- answers -------------------------------------------------------------------------------

    def _current(self, serial: int) -> Node | None:
        """Return the task whose current attempt this is, and end that attempt."""
        key = self._serials.pop(serial, None)
        node = self.tasks.get(key) if key is not None else None
        if node is None or node.serial != serial:
            return None
        node.serial = 0
        return node

    def _answered(self, nonce: str, serial: int) -> Node | None:
        """Free the lease's hands of an attempt; return its task if it may still commit."""
        lease = self.leases.get(nonce)
        if lease is None or not lease.give(serial):
            return None
        lease.since = self._now
        self._alarms.pop(serial, None)
        return self._current(serial)

    def _finished(self, news: Finished) -> None:
        lease = self.leases.get(news.nonce)
        node = self._answered(news.nonce, news.serial)
        if lease is not None:
            for content in news.loaded:
                self.values.held(content, lease.machine.name)
        if node is None or lease is None:
            if lease is not None:
                for stored in news.outputs:
                    self.values.held(stored.id, lease.machine.name)
            return
        worker, job = lease.machine.name, node.job
        node.accepted, node.outputs = news.serial, news.outputs
        node.seconds, node.worker = news.seconds, worker
        self.durations.learn(job.code.fingerprint, news.seconds)
        named = tuple(
            (output, stored) for (output, _), stored in zip(job.outputs, news.outputs, strict=True)
        )
        self._events.append(
            TaskComputed(
                self._now, job.key, worker, node.number, news.seconds, named, news.cpu, news.grown
            )
        )
        for (_, data), stored in zip(job.outputs, news.outputs, strict=True):
            datum = self.values.datum(data)
            self.values.attach(datum, stored.id, stored.nbytes)
            self.values.held(stored.id, worker)
            self._provide(datum)
        self._recipes[node.recipe] = job.key
        if self._shared:
            self._writing[news.serial] = job.key
        else:
            self._done(node, "stored")
        early = self._early.pop(news.serial, None)
        if early is not None:
            self._handlers[type(early)](early)

    def _failed(self, news: Failed) -> None:
        node = self._answered(news.nonce, news.serial)
        if node is not None:
            self._attempt_failed(node, _timeout(node) if node.overdue else news.failure)

    def _attempt_failed(self, node: Node, failure: Failure) -> None:
        node.failures += 1
        if node.failures <= node.job.requirements.retries:
            text = f"{failure.type}: {failure.message}"
            self._again(node, f"attempt {node.number} failed with {text[:200]}")
        else:
            self._error(node, failure)

    def _missing(self, news: Missing) -> None:
        node = self._answered(news.nonce, news.serial)
        if node is None:
            return
        why = "an input was no longer where it was expected"
        lost = [datum for content in news.contents for datum in self.values.lose(content)]
        self._died(node, why)
        self._losing(lost, why)
        if node.active:
            self._again(node, why)

    def _unrun(self, news: Unrun) -> None:
        lease = self.leases.get(news.nonce)
        for serial in news.serials:
            if lease is not None and lease.give(serial):
                self._alarms.pop(serial, None)
                node = self._current(serial)
                if node is not None:
                    node.number -= 1
                    self._again(node, "called back: another slot was free")

    def _durable(self, news: Durable) -> None:
        node = self._written(news)
        if node is not None:
            for _, data in node.job.outputs:
                content = self.values.data[data].content
                if content is not None:
                    self.values.durable(content)
            self._done(node, "stored")

    def _unstored(self, news: Unstored) -> None:
        node = self._written(news)
        if node is not None:
            self._error(node, Failure("StoreError", news.why, ""), spare=True)

    def _written(self, news: Durable | Unstored) -> Node | None:
        serial = news.serial
        if serial in self._serials:
            # A writer may be faster than the answer it belongs to.
            self._early[serial] = news
            return None
        key = self._writing.pop(serial, None)
        node = self.tasks.get(key) if key is not None else None
        return node if node is not None and node.accepted == serial else None

    # -- time ----------------------------------------------------------------------------------

    def _tick(self, _: Tick) -> None:
        for serial, (at, nonce) in [*self._alarms.items()]:
            if at <= self._now and nonce in self.leases:
                worker = self.leases[nonce].machine.name
                self._condemned.add(worker)
                self._alarms[serial] = (self._now + 30 * GRACE, nonce)
                self._instructions.append(Interrupt(worker, nonce, serial, hard=True))
        idle = not len(self._ready) and any(
            not lease.hands and not lease.machine.suspect for lease in self.leases.values()
        )
        for lease in self.leases.values():
            head = next(iter(lease.hands), None)
            if head is None:
                continue
            key = self._serials.get(head)
            limit = self.tasks[key].job.requirements.timeout if key in self.tasks else None
            if limit is not None and key and self._now >= lease.since + limit:
                self.tasks[key].overdue = True
                self._interrupt(lease, head)
            if idle and len(lease.hands) > 1 and self._now >= lease.since + PATIENCE:
                self._instructions.append(Recall(lease.machine.name, lease.nonce))

    def _interrupt(self, lease: Lease, serial: int) -> None:
        if serial not in self._alarms:
            self._alarms[serial] = (self._now + GRACE, lease.nonce)
            self._instructions.append(Interrupt(lease.machine.name, lease.nonce, serial))

    # -- from state to state -------------------------------------------------------------------

    def _change(self, node: Node, state: State, why: str = "", worker: str = "") -> None:
        node.state = state
        node.why = why
        key = node.job.key
        before = self._supersede(key)
        why = why or before
        self._latest[key] = len(self._events)
        self._events.append(TaskChanged(self._now, key, state, worker, node.number, why))

    def _supersede(self, key: str) -> str:
        """Drop the event of a state that lasts no time, so that nobody sees it; keep its reason."""
        before = self._latest.pop(key, None)
        if before is None:
            return ""
        old = self._events[before]
        assert isinstance(old, TaskChanged)
        self._events[before] = None
        return old.why

    def _wait_for(self, node: Node, data: str) -> None:
        """Make a task wait for a value that is gone; one that runs has it already."""
        if node.active and not node.serial:
            node.missing.add(data)
            self._ready.discard(node.job.key)
            if node.state != "waiting":
                self._change(node, "waiting", "a value it reads is computed again")

    def _again(self, node: Node, why: str) -> None:
        """Let a task that was under way start anew."""
        node.overdue = False
        node.missing = {
            data
            for _, data in node.job.inputs
            if not self.values.available(self.values.read(data, node.job.key))
        }
        gone = [data for data in node.missing if not self._coming(data)]
        if gone:
            self._fall(node, "cancelled", self._blame(None, gone[0]))
        elif node.missing:
            self._change(node, "waiting", why)
        else:
            self._enqueue(node, why)

    def _coming(self, data: str) -> bool:
        datum = self.values.data.get(data)
        maker = self.tasks.get(datum.producer) if datum is not None and datum.producer else None
        return maker is not None and maker.active

    def _losing(self, lost: list[Datum], why: str) -> None:
        """Have lost values computed again."""
        revived: list[Node] = []
        for datum in lost:
            maker = self.tasks.get(datum.producer) if datum.producer else None
            if maker is not None and not maker.active and maker.state not in {"error", "cancelled"}:
                self._writing.pop(maker.accepted, None)
                maker.accepted = 0
                self._unlink(maker)
                self._change(maker, "waiting", why)
                revived.append(maker)
            for reader in [*datum.readers]:
                self._wait_for(self.tasks[reader], datum.key)
        for datum in lost:
            if not self._coming(datum.key):
                for reader in [*datum.readers]:
                    other = self.tasks.get(reader)
                    if other is not None and other.active:
                        self._fall(other, "cancelled", self._blame(None, datum.key))
                if not datum.readers and datum.producer not in self.tasks:
                    self.values.remove(datum)
        for node in revived:
            if node.state == "waiting":
                self._again(node, why)

    def _provide(self, datum: Datum) -> None:
        for reader in datum.readers:
            node = self.tasks[reader]
            if datum.key in node.missing:
                node.missing.discard(datum.key)
                if not node.missing and node.state == "waiting":
                    self._settle.append(reader)

    def _settled(self) -> None:
        """Look up, and else enqueue, the tasks whose inputs are complete."""
        while self._settle:
            node = self.tasks.get(self._settle.popleft())
            if node is None or node.state != "waiting" or node.missing:
                continue
            job, data = node.job, self.values.data
            node.recipe = recipe(
                job.code.fingerprint,
                job.call.digest if job.call is not None else None,
                [(slot, data[key].content or "") for slot, key in job.inputs],
            )
            if not (job.requirements.cache and self._cut_off(node)):
                self._enqueue(node, "")

    def _enqueue(self, node: Node, why: str) -> None:
        requirements = node.job.requirements
        where = self._classes.get(requirements)
        if where is None:
            where = self._classes[requirements] = need_of(requirements)
        if self._ready.add(node.order, node.job.key, where):
            self._full = False
        self._change(node, "ready", why)

    def _cut_off(self, node: Node) -> bool:
        """End a task early if the same code has read the same values before."""
        job, contents = node.job, self.values.contents
        twin, found = self.tasks.get(self._recipes.get(node.recipe, "")), {}
        if twin is not None:
            found = {o: s for (o, _), s in zip(twin.job.outputs, twin.outputs, strict=True)}
            if not all(s.id in contents and contents[s.id].durable for s in found.values()):
                if self._shared:
                    found = {}
        elif (record := self._find(node.recipe)) is not None:
            found = dict(record.outputs)
        if not all(output in found for output, _ in job.outputs):
            return False
        named = tuple((output, found[output]) for output, _ in job.outputs)
        node.outputs = tuple(stored for _, stored in named)
        self._recipes.setdefault(node.recipe, job.key)
        for (_, key), stored in zip(job.outputs, node.outputs, strict=True):
            datum = self.values.datum(key)
            self.values.attach(datum, stored.id, stored.nbytes, durable=twin is None)
            self._provide(datum)
        why = "same code read the same values"
        if all(contents[stored.id].durable for stored in node.outputs):
            inputs = tuple((s, d, self.values.data[d].content or "") for s, d in job.inputs)
            parts = job.code.parts
            self._instructions.append(
                Remember(Record(job.key, node.recipe, job.name, parts, inputs, named, node.run))
            )
            self._supersede(job.key)
            self._events.append(TaskCached(self._now, job.key, named, why))
            node.state, node.why = "cached", why
            self._settle_reads(node)
        else:
            self._events.append(TaskComputed(self._now, job.key, "", 0, 0.0, named))
            self._done(node, "stored", why)
        return True

    def _done(self, node: Node, state: State, why: str = "") -> None:
        self._change(node, state, why, node.worker)
        self._settle_reads(node)

    def _settle_reads(self, node: Node) -> None:
        for _, data in node.job.inputs:
            self.values.unread(data, node.job.key)
        for _, data in node.job.outputs:
            datum = self.values.data.get(data)
            if datum is not None and datum.content is not None:
                self.values.rest(datum.content)
        if node.doomed:
            self._forget(Forget((node.job.key,)))

    def _error(self, node: Node, failure: Failure, *, spare: bool = False) -> None:
        self._events.append(TaskFailed(self._now, node.job.key, node.worker, node.number, failure))
        self._change(node, "error", f"{failure.type}: {failure.message}"[:200])
        node.accepted = 0
        if not spare:
            self._doom_readers(node, f"`{node.job.name}` failed")
        self._settle_reads(node)

    def _fall(self, node: Node, state: State, why: str) -> None:
        """Cancel a task, and all that need it."""
        self._stop(node, state, why)
        cause = why if why != "by you" else f"`{node.job.name}` was cancelled"
        self._doom_readers(node, cause)
        self._settle_reads(node)

    def _doom_readers(self, node: Node, why: str) -> None:
        todo, fallen = [node], []
        while todo:
            for _, data in todo.pop().job.outputs:
                datum = self.values.data.get(data)
                for reader in [*datum.readers] if datum is not None else ():
                    other = self.tasks[reader]
                    if other.active:
                        self._stop(other, "cancelled", why)
                        todo.append(other)
                        fallen.append(other)
        for other in fallen:
            self._settle_reads(other)

    def _stop(self, node: Node, state: State, why: str) -> None:
        self._ready.discard(node.job.key)
        serial, node.serial = node.serial, 0
        if serial:
            self._serials.pop(serial, None)
            lease = self.leases.get(node.lease)
            if lease is not None and serial in lease.hands:
                self._interrupt(lease, serial)
        self._change(node, state, why)

    # -- handing over --------------------------------------------------------------------------

    def _dispatch(self) -> None:
        if not self._full and len(self._ready) and self.leases:
            assign(self._ready, self.leases.values(), self._expect, self._weigh, self._bind)
            # What is left waits for a lease to have room, or for a task with other needs.
            self._full = bool(len(self._ready))
        for nonce, attempts in self._batches.items():
            worker = self.leases[nonce].machine.name
            self._instructions.append(HandOver(worker, nonce, tuple(attempts)))
        self._batches.clear()
        demand = self.demand
        if demand != self._demand and (demand > len(self.leases) or not demand or not self._demand):
            self._demand = demand
            self._instructions.append(Demand(demand))

    def _expect(self, key: str) -> float:
        return self.durations.expect(self.tasks[key].job.code.fingerprint)

    def _weigh(self, key: str) -> dict[str, int]:
        held: dict[str, int] = {}
        for _, data in self.tasks[key].job.inputs:
            content = self.values.contents[self.values.data[data].content or ""]
            if content.nbytes >= HEAVY:
                for worker in content.holders:
                    held[worker] = held.get(worker, 0) + content.nbytes
        return held

    def _bind(self, key: str, lease: Lease, seconds: float, need: Vector) -> None:
        node = self.tasks[key]
        self._serial += 1
        serial = node.serial = self._serial
        node.number += 1
        node.lease, node.worker = lease.nonce, lease.machine.name
        self._serials[serial] = key
        if not lease.hands:
            lease.since = self._now
        lease.take(serial, seconds, need)
        data = self.values.data
        sources = tuple([self.values.source(data[name]) for _, name in node.job.inputs])
        self._batches.setdefault(lease.nonce, []).append(
            Attempt(serial, node.number, node.job, node.recipe, sources, node.run)
        )
        self._change(node, "running", "", lease.machine.name)

    def _flushed(self) -> list[Instruction]:
        done: list[Instruction] = []
        if self._events:
            events = tuple([event for event in self._events if event is not None])
            done.append(Emit(events))
            self._events = []
            self._latest.clear()
        done.extend(self.values.drops())
        done.extend(self._instructions)
        self._instructions = []
        return done

    # -- for tests -----------------------------------------------------------------------------

    def validate(self) -> None:
        """Raise `AssertionError` unless every promise of this state holds."""
        self.values.check(self.machines)
        in_hand = {s for lease in self.leases.values() for s in lease.hands}
        for serial, key in self._serials.items():
            assert self.tasks[key].serial == serial
            assert serial in in_hand
        for key, node in self.tasks.items():
            assert node.job.key == key
            assert (node.state == "ready") == (key in self._ready), node
            assert bool(node.serial) == (node.state == "running" and not node.accepted), node
            if node.state == "waiting":
                assert node.missing, node
                for data in node.missing:
                    assert self._coming(data), (node, data)
            if node.state not in FINAL:
                for _, data in node.job.inputs:
                    assert key in self.values.data[data].readers
            if node.state == "ready":
                for _, data in node.job.inputs:
                    assert self.values.available(self.values.data[data]), node
            if node.accepted and node.state in {"running", "stored"}:
                for _, data in node.job.outputs:
                    datum = self.values.data[data]
                    assert self.values.available(datum), node
            if self._shared and node.state == "running" and node.accepted:
                assert self._writing[node.accepted] == key
        for datum in self.values.data.values():
            for reader in datum.readers:
                assert self.tasks[reader].state not in FINAL
        for machine in self.machines.values():
            used = [self.leases[n].need for n in machine.leases]
            free = machine.free
            for need in used:
                free = free.plus(need) if need is not None else free
            assert free == machine.offer
            assert machine.free.cpu >= 0
            assert machine.free.gpu >= 0


def _timeout(node: Node) -> Failure:
    limit = node.job.requirements.timeout
    return Failure("TimeoutError", f"ran longer than its limit of {limit:g} s", "")
