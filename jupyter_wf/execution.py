"""Turn a plan into jobs for the engine: what is taken from the store, what is joined, what runs."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from threading import RLock
from typing import TYPE_CHECKING
from uuid import uuid4

from jupyter_wf.calls import Calls
from jupyter_wf.engine.abc import Engine, Job
from jupyter_wf.errors import WorkflowError
from jupyter_wf.events import Failure, RunChanged, TaskCached, TaskFailed
from jupyter_wf.fingerprint import data_key
from jupyter_wf.graph import Task
from jupyter_wf.plan import Plan, make_plan
from jupyter_wf.records import Record
from jupyter_wf.requirements import Requirements
from jupyter_wf.resources import lacking, need_of
from jupyter_wf.run import Run

if TYPE_CHECKING:
    from jupyter_wf.workflow import Workflow

logger = logging.getLogger("jupyter_wf")
Pairs = tuple[tuple[str, str], ...]
#: Seconds for which what workers offer is not looked at again, where it was enough.
FRESH = 1.0
#: What a task failed of that no worker can serve.
UNSERVED = "EngineError"
#: States in which a task need not be submitted again: it comes, or it is there.
ON_ITS_WAY = frozenset({"waiting", "ready", "running"})
ALIVE = ON_ITS_WAY | {"stored", "cached"}


class Execution:
    """Starts the tasks of one workflow; its methods are called under the workflow's lock."""

    def __init__(self, flow: Workflow, lock: RLock) -> None:
        self._flow = flow
        self._session = f"s-{uuid4().hex[:10]}"
        self._started: dict[str, str] = {}
        self._served: set[Requirements] = set()
        self._asked = 0.0
        self._warned: Engine | None = None
        self._calls = Calls(self._send, lock)

    def alive(self) -> dict[str, str]:
        """Return key → state of the tasks that need not be submitted again."""
        tasks = self._flow.status.tasks
        return {k: t.state for k, t in tuple(tasks.items()) if t.state in ALIVE}

    def plan(
        self, targets: Iterable[str] | None, force: Iterable[str], active: Mapping[str, str]
    ) -> Plan:
        """Return what becomes of the tasks that `targets` need; see `make_plan`."""
        flow = self._flow
        flow.store.refresh()
        return make_plan(
            flow.graph,
            targets,
            keys=flow.keys,
            find=flow.store.find,
            last=flow.store.last,
            force=force,
            active=active,
            unserved=self.unserved,
        )

    def start(self, plan: Plan, force: Iterable[str], active: Mapping[str, str]) -> Run:
        """Start all that a plan has to run, and return the run to watch.

        Parameters
        ----------
        plan : Plan
        force : iterable of str
            Names of tasks that are computed though they are stored.
        active : mapping of str to str
            What `alive` said when the plan was made: what was on its way then is joined, even if it
            has arrived since.
        """
        flow, forced = self._flow, frozenset(force)
        keys = {s.task: s.key for s in plan.steps.values() if s.key and s.action != "blocked"}
        whys = {s.task: s.why for s in plan.steps.values()}
        blocked = {s.task: s.why for s in plan.steps.values() if s.action == "blocked"}
        self._publish_cached(plan)
        todo = [
            self._forced(flow.graph.tasks[name]) if name in forced else flow.graph.tasks[name]
            for name in plan.to_run
            if active.get(keys[name]) not in ON_ITS_WAY
        ]
        again = [keys[task.name] for task in todo if keys[task.name] in flow.status.tasks]
        if again:
            flow.engine.forget(again)
            flow.news.renew(again)
        flow.news.expect(keys.values())
        run = f"r-{uuid4().hex[:10]}"
        watched = Run(
            run,
            keys=keys,
            blocked=blocked,
            whys=whys,
            status=flow.status,
            wait=flow.news.wait,
            cancel=lambda tasks: self._cancel(watched, tasks),
        )
        flow.news.watch(watched)
        flow.news.publish((RunChanged(time.time(), run, "running"),))
        self._tell_unserved(blocked)
        if todo:
            self.submit(todo, run)
        elif watched.state != "running":
            flow.news.publish((watched.ended(),))
        return watched

    def _cancel(self, run: Run, tasks: frozenset[str]) -> None:
        """Stop tasks for which no other run waits."""
        wanted = {key for other in self._flow.news.runs if other is not run for key in other.wanted}
        if tasks - wanted:
            self._flow.engine.cancel(tasks - wanted)

    def call(self, task: Task, key: str, inputs: tuple[tuple[str, str], ...]) -> None:
        """Start one task that was just added, unless it runs or is stored already."""
        flow = self._flow
        status = flow.status.tasks.get(key)
        if status is not None and status.state in ALIVE:
            flow.news.expect([key])
            return
        record = flow.store.find(key) if task.requirements.cache else None
        if record is not None:
            flow.news.publish((_cached(record, "stored by an earlier run"),))
            return
        if lacks := self.unserved(task.requirements):
            self._fail([key], UNSERVED, lacks)
            return
        known: dict[str, str] = {}
        for (_, name), (_, data) in zip(task.inputs, inputs, strict=True):
            if self._lacking(name):
                flow.run(task.name)
                return
            content = flow.values.data_id(name)
            if content is not None:
                known[data] = content
        flow.news.expect([key])
        outputs = tuple([(output, data_key(key, output)) for output, _ in task.outputs])
        self._calls.add(self._job(task, key, inputs, outputs), known)

    def flush(self) -> None:
        """Hand calls that wait for company to the engine."""
        self._calls.flush()

    def close(self) -> None:
        """Hand over what waits, and end."""
        self._calls.close()

    def submit(self, tasks: Sequence[Task], run: str) -> None:
        """Hand tasks to the engine under their keys."""
        self.flush()
        flow, keys = self._flow, self._flow.keys
        known: dict[str, str] = {}
        jobs = []
        for task in tasks:
            inputs = tuple([(slot, keys.data[name]) for slot, name in task.inputs])
            outputs = tuple([(output, keys.data[name]) for output, name in task.outputs])
            for (_, name), (_, data) in zip(task.inputs, inputs, strict=True):
                content = flow.values.data_id(name)
                if content is not None:
                    known[data] = content
            jobs.append(self._job(task, keys.tasks[task.name], inputs, outputs))
        flow.engine.submit(jobs, known, run)

    def _send(self, jobs: list[Job], known: Mapping[str, str]) -> None:
        # What was called for enters the graph first, so that views show it before it runs.
        self._flow.settle()
        try:
            self._flow.engine.submit(jobs, known, self._session)
        except WorkflowError as error:
            self._fail([job.key for job in jobs], type(error).__name__, str(error))

    def _fail(self, tasks: Iterable[str], kind: str, why: str) -> None:
        failure, now = Failure(kind, why, ""), time.time()
        self._flow.news.publish(tuple([TaskFailed(now, key, "", 0, failure) for key in tasks]))

    # -- whether a worker could serve a task ---------------------------------------------------

    def _tell_unserved(self, blocked: Iterable[str]) -> None:
        """Say on the tasks that no worker can serve what is missing; others wait for them."""
        for name in blocked:
            lacks = self.unserved(self._flow.graph.tasks[name].requirements)
            key = self._flow.keys.tasks.get(name)
            if lacks and key is not None:
                self._fail([key], UNSERVED, lacks)

    def unserved(self, needs: Requirements) -> str:
        """Say what a task asks for that no worker has; an empty string if one could serve it."""
        flow, now = self._flow, time.monotonic()
        if not needs.choosy or flow.dry:
            return ""
        if now > self._asked + FRESH:
            self._asked = now
            self._served.clear()
        if needs in self._served:
            return ""
        workers = flow.engine.offers()
        lacks = lacking(needs.partition, need_of(needs), workers)
        if not lacks:
            self._served.add(needs)
            if needs.partition and workers and not any(worker.partition for worker in workers):
                self._warn(needs.partition)
        return lacks

    def _warn(self, partition: str) -> None:
        engine = self._flow.engine
        if engine is not self._warned:
            self._warned = engine
            logger.warning("No worker declares a partition: any of them serves %r.", partition)

    def _job(self, task: Task, key: str, inputs: Pairs, outputs: Pairs) -> Job:
        self._started[task.name] = key
        return Job(key, task.name, task.code, task.call, inputs, outputs, task.requirements)

    def ran(self, name: str) -> bool:
        """Whether a task of this name was computed or found before, in whatever revision."""
        status = self._flow.status.tasks.get(self._started.get(name, ""))
        return (status is not None and status.computed) or self._flow.store.last(name) is not None

    def busy(self, key: str) -> bool:
        """Whether a task is on its way."""
        status = self._flow.status.tasks.get(key)
        return status is not None and not status.settled

    def _lacking(self, name: str) -> bool:
        """Whether nothing that runs or is stored will give this data."""
        fresh = self._flow.fresh(name)
        if fresh is not None:
            made = self._flow.status.tasks.get(fresh[0])
            return made is not None and made.state == "error"
        data = self._flow.graph.data[name]
        if data.producer is None:
            return data.content is None
        status = self._flow.status_of(data.producer)
        return status is None or status.state not in ALIVE

    def _publish_cached(self, plan: Plan) -> None:
        events = []
        for step in plan.steps.values():
            if step.action != "cached" or step.key is None:
                continue
            status = self._flow.status.tasks.get(step.key)
            if status is not None and status.state in ALIVE:
                continue
            record = self._flow.store.find(step.key)
            if record is not None:
                events.append(_cached(record, step.why))
        self._flow.news.publish(tuple(events))

    @staticmethod
    def _forced(task: Task) -> Task:
        return replace(task, requirements=replace(task.requirements, cache=False))


def _cached(record: Record, why: str) -> TaskCached:
    return TaskCached(time.time(), record.key, record.outputs, why)
