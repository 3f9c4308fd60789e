"""Jobs for tests of engines, and a listener that tests can wait on."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from threading import Condition
from typing import Any

from jupyter_wf.engine.abc import Job
from jupyter_wf.engine.testing.waiting import PATIENCE
from jupyter_wf.events import (
    FINAL,
    Event,
    TaskCached,
    TaskChanged,
    TasksSpawned,
    WorkerSample,
)
from jupyter_wf.fingerprint import combine, data_key, task_key
from jupyter_wf.graph import Call, Code
from jupyter_wf.requirements import Requirements


def cell(
    source: str,
    *,
    name: str = "cell",
    inputs: Sequence[tuple[str, str]] = (),
    outputs: Sequence[str] = (),
    payload: bytes = b"",
    first_line: int = 1,
    **requirements: Any,
) -> Job:
    """Make a job of a cell's source; inputs are (variable, key of the data)."""
    code = Code(
        "cell",
        name,
        source,
        combine([("source", source)]),
        payload=payload,
        filename=f"<{name}>",
        first_line=first_line,
    )
    key = task_key(code.fingerprint + name, None, inputs)
    made = tuple((output, data_key(key, output)) for output in outputs)
    return Job(key, name, code, None, tuple(inputs), made, Requirements(**requirements))


def call(
    function: Callable[..., Any],
    *args: Any,
    inputs: Sequence[tuple[str, str]] = (),
    outputs: Sequence[str] = ("result",),
    **requirements: Any,
) -> Job:
    """Make a job of a function's call, in whose arguments a `Slot` stands for each input."""
    import cloudpickle

    payload = pickle.dumps((args, {}))
    name = function.__name__
    code = Code(
        "function", name, "", combine([("name", name)]), payload=cloudpickle.dumps(function)
    )
    arguments = Call(combine([("arguments", repr(args))]), payload)
    key = task_key(code.fingerprint, arguments.digest, inputs)
    made = tuple((output, data_key(key, output)) for output in outputs)
    return Job(key, name, code, arguments, tuple(inputs), made, Requirements(**requirements))


def out(job: Job, output: str | None = None) -> str:
    """Return the key of a job's output, its only one by default."""
    outputs = dict(job.outputs)
    return outputs[output] if output is not None else next(iter(outputs.values()))


class Watch:
    """A listener that remembers, and that a test can wait on."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._changed = Condition()

    def __call__(self, events: tuple[Event, ...]) -> None:
        """Take in a batch."""
        with self._changed:
            self.events.extend(events)
            self._changed.notify_all()

    def until(self, done: Callable[[], bool]) -> None:
        """Wait for something to be true; fail, with what happened so far, if it never is."""
        with self._changed:
            if not self._changed.wait_for(done, PATIENCE):
                told = [e for e in self.events if not isinstance(e, WorkerSample)]
                shown = "\n".join(map(str, told[-40:]))
                raise AssertionError(f"Not in {PATIENCE} s. The last events:\n{shown}")

    def state(self, job: Job) -> str:
        """Return the newest state of a task."""
        for event in reversed(self.events):
            if isinstance(event, TaskChanged) and event.task == job.key:
                return event.state
            if isinstance(event, TaskCached) and event.task == job.key:
                return "cached"
        return ""

    def why(self, job: Job) -> str:
        """Return the newest reason given for a task's state."""
        for event in reversed(self.events):
            if isinstance(event, TaskChanged | TaskCached) and event.task == job.key:
                return event.why
        return ""

    def whys(self, job: Job) -> list[str]:
        """Return all reasons given for a task's states."""
        return [event.why for event in self.of(job, TaskChanged) if event.why]

    def of_parent(self, job: Job) -> list[TasksSpawned]:
        """Return what is told of the tasks that a task added."""
        return [e for e in self.events if isinstance(e, TasksSpawned) and e.parent == job.key]

    def of(self, job: Job, kind: type) -> list[Any]:
        """Return the events of one kind about one task."""
        return [e for e in self.events if isinstance(e, kind) and getattr(e, "task", "") == job.key]

    def end(self, *jobs: Job) -> list[str]:
        """Wait until all jobs are in a final state; return the states."""
        self.until(lambda: all(self.state(job) in FINAL for job in jobs))
        return [self.state(job) for job in jobs]

    def reach(self, job: Job, state: str) -> None:
        """Wait until a task is in `state`."""
        self.until(lambda: self.state(job) == state)
