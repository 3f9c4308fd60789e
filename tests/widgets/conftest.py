"""A workflow whose engine runs nothing: a test says by hand what happened."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jupyter_wf.engine.abc import Engine
from jupyter_wf.engine.testing import PATIENCE
from jupyter_wf.events import (
    Event,
    Failure,
    TaskChanged,
    TaskComputed,
    TaskFailed,
    TaskLog,
    TaskProgress,
    TasksSpawned,
)
from jupyter_wf.graph import Code, Task
from jupyter_wf.records import Stored
from jupyter_wf.workflow import Workflow


class ByHand(Engine):
    """Takes jobs and does nothing with them; values are what a test puts into `values`."""

    def __init__(self) -> None:
        self.listeners: list[Callable[[tuple[Event, ...]], None]] = []
        self.submitted: list[str] = []
        self.cancelled: list[str] = []
        self.values: dict[str, Any] = {}

    def start(self, store):
        self.store = store

    def subscribe(self, listener):
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    def tell(self, *events: Event) -> None:
        for listener in list(self.listeners):
            listener(events)

    def submit(self, jobs, known, run=""):
        self.submitted += [job.name for job in jobs]

    def hold(self, content, value):
        self.values[content] = value

    def cancel(self, tasks):
        self.cancelled += tasks

    def forget(self, tasks):
        pass

    def value(self, data):
        return self.values[data]

    def executions(self):
        return Counter()

    def flush(self, timeout=None):
        return True

    def close(self):
        self.listeners = []


class Story:
    """A workflow of `load` (→ X) and `fit` (X → m), and what happens to its tasks."""

    def __init__(self) -> None:
        self.engine = ByHand()
        self.flow = Workflow(self.engine, "memory://")
        self.define("load", (), ("X",))
        self.define("fit", ("X",), ("m",))
        assert self.flow.engine is self.engine

    def define(self, name: str, reads=(), makes=(), source: str = "") -> None:
        code = Code("cell", name, source, f"fingerprint of {name} {source}".ljust(40))
        pairs = tuple((n, n) for n in reads), tuple((n, n) for n in makes)
        self.flow.define(Task(name, code, *pairs), run=False)

    def key(self, name: str) -> str:
        return self.flow.keys.tasks[name]

    def state(self, name: str, state: str, why: str = "") -> None:
        self.engine.tell(TaskChanged(time.time(), self.key(name), state, "w1", 1, why))

    def computed(self, name: str, **values: tuple[Any, Stored]) -> None:
        outputs = []
        for output, (value, stored) in values.items():
            self.engine.values[self.flow.keys.data[output]] = value
            outputs.append((output, stored))
        self.engine.tell(TaskComputed(time.time(), self.key(name), "w1", 1, 0.25, tuple(outputs)))
        self.state(name, "stored")

    def failed(self, name: str, message: str) -> None:
        failure = Failure("ValueError", message, f"Traceback …\n{message}", (3,))
        self.engine.tell(TaskFailed(time.time(), self.key(name), "w1", 1, failure))

    def added(self, name: str, *children: str) -> None:
        named = tuple((f"key of {child}", child) for child in children)
        self.engine.tell(TasksSpawned(time.time(), self.key(name), named))

    def ended(self, child: str) -> None:
        self.engine.tell(TaskChanged(time.time(), f"key of {child}", "stored", "w1", 1))

    def log(self, name: str, text: str, stream: str = "stdout") -> None:
        self.engine.tell(TaskLog(time.time(), self.key(name), stream, text))

    def progress(self, name: str, done: float, total: float) -> None:
        self.engine.tell(TaskProgress(time.time(), self.key(name), done, total, "step"))


@pytest.fixture
def story() -> Iterator[Story]:
    found = Story()
    yield found
    found.flow.close()


class Sent:
    """What a widget sent to the page; lets a test wait for it."""

    def __init__(self, widget: Any) -> None:
        self.messages: list[dict[str, Any]] = []
        self._news = threading.Condition()
        widget.send = self._take

    def _take(self, content: dict[str, Any], buffers: Any = None) -> None:
        with self._news:
            self.messages.append(content)
            self._news.notify_all()

    def wait(self, done: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        with self._news:
            assert self._news.wait_for(lambda: done(self.messages), PATIENCE), self.messages
            return list(self.messages)


def eventually(widget: Any, trait: str, done: Callable[[Any], bool]) -> Any:
    """Wait until a trait of a widget fulfils `done`, and return it."""
    happened = threading.Event()

    def look(_: object = None) -> None:
        if done(getattr(widget, trait)):
            happened.set()

    widget.observe(look, trait)
    look()
    assert happened.wait(PATIENCE), getattr(widget, trait)
    widget.unobserve(look, trait)
    return getattr(widget, trait)
