"""The one mutable object: the current graph, what runs it, where values are kept, who listens."""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.metadata import entry_points
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import Any, Self

from jupyter_wf.engine.abc import Engine, Store
from jupyter_wf.errors import EngineError, GraphError, NotComputedError, WorkflowError
from jupyter_wf.events import GraphChanged, Listener
from jupyter_wf.execution import Execution
from jupyter_wf.fingerprint import Keys, graph_keys
from jupyter_wf.graph import Data, Graph, Task
from jupyter_wf.handle import DataHandle
from jupyter_wf.history import History
from jupyter_wf.news import News
from jupyter_wf.plan import Plan, make_plan
from jupyter_wf.run import Run
from jupyter_wf.status import Status, TaskStatus
from jupyter_wf.values import Values

Target = str | DataHandle
STORE = ".jupyter_wf"
AT_EXIT = 30.0


class Workflow:
    """A graph that is edited and run.

    Parameters
    ----------
    engine : Engine or None
        What runs tasks; None starts an embedded Dask cluster at the first task.
    store : str, Path, Store or None
        Where values are kept: a folder or URL; None is ``.jupyter_wf`` in the working directory.

    Examples
    --------
    >>> import jupyter_wf as wf
    >>> @wf.task
    ... def add(a, b):
    ...     return a + b
    >>> with wf.Workflow(wf.LocalEngine(), "memory://") as flow:
    ...     total = add.invoke(add.invoke(1, 2), 3)
    ...     total.get()
    6
    """

    def __init__(
        self, engine: Engine | None = None, store: str | Path | Store | None = None
    ) -> None:
        self.news = News()
        self.values = Values(self)
        self._edits = RLock()  # the graph, the engine, submissions
        self._execution = Execution(self, self._edits)
        self.auto = False
        #: Under `jupyter wf plan` nothing may be computed.
        self.dry = False
        self._history = History()
        self._keys = graph_keys(self._history.graph)
        # Tasks appended since, by name, with their keys; and the data they make: (key, output).
        self._appended: dict[str, tuple[Task, str]] = {}
        self._fresh: dict[str, tuple[str, str]] = {}
        self._engine: Engine | None = None
        self._wanted_engine = engine
        self._make_engine: Callable[[], Engine] = _embedded
        self._store = store if isinstance(store, Store) else None
        self._wanted_store = STORE if store is None else store
        self._tokens: list[Any] = []
        self._closed = False
        setting = settings.get()
        if setting is not None:
            setting.apply(self)

    # -- parts ---------------------------------------------------------------------------------

    @property
    def status(self) -> Status:
        """What is going on: the fold of all events."""
        return self.news.status

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every batch of events; return the function that undoes this."""
        return self.news.subscribe(listener)

    def wait(self, done: Callable[[], bool], timeout: float | None) -> bool:
        """Wait until `done()`, which is asked as news come; False after `timeout` seconds."""
        self._execution.flush()
        return self.news.wait(done, timeout)

    @property
    def graph(self) -> Graph:
        """The current graph, a frozen value."""
        if self._appended:
            self.settle()
        return self._history.graph

    @property
    def revision(self) -> int:
        """Number of the current graph; every operation, undo and redo included, adds one."""
        return self._history.revision + len(self._appended)

    @property
    def keys(self) -> Keys:
        """Keys of the current graph's tasks and data."""
        # One attribute, so that reading it needs no lock: a listener on any thread may ask.
        self._keys = keys = graph_keys(self.graph, self._keys)
        return keys

    @property
    def store(self) -> Store:
        """Where values are kept; opened at first use."""
        if self._store is not None:
            return self._store
        with self._edits:
            if self._store is None:
                from jupyter_wf.engine.store import open_store

                assert not isinstance(self._wanted_store, Store)
                self._store = open_store(self._wanted_store)
            return self._store

    @property
    def engine(self) -> Engine:
        """What runs tasks; made at first use."""
        with self._edits:
            if self._closed:
                raise WorkflowError("This workflow is closed. Make a new one.")
            if self._engine is None:
                self._engine = self._wanted_engine or self._make_engine()
                self._engine.start(self.store)
                self._engine.subscribe(self.news.publish)
            return self._engine

    def connect(self, target: Any = None) -> None:
        """Run on other machines from now on.

        Parameters
        ----------
        target : str, Engine, Client, Cluster or None
            Address of a Dask scheduler, a ``distributed.Client``, any Dask ``Cluster``, an engine
            of ours, or None for an embedded cluster. What is running elsewhere is cancelled.
        """
        engine = target if isinstance(target, Engine) else _embedded(target)
        engine.start(self.store)
        with self._edits:
            old, self._engine = self._engine, engine
            engine.subscribe(self.news.publish)
        if old is not None:
            old.flush(AT_EXIT)
            old.close()
        self.news.forget_workers()

    # -- edits: each is one operation ----------------------------------------------------------

    def define(
        self, task: Task, values: Mapping[str, Any] | None = None, run: bool = True
    ) -> tuple[DataHandle, ...]:
        """Add a task, or replace the one of the same name or cell, and run what it needs.

        Parameters
        ----------
        task : Task
        values : mapping, optional
            Values given from outside that it reads, by name of the data.
        run : bool
            Whether to start it at once.

        Returns
        -------
        tuple of DataHandle
            One for each output.
        """
        with self._edits:
            graph = self.graph
            stale = [
                old.name
                for old in graph.tasks.values()
                if task.cell is not None and old.cell == task.cell and old.name != task.name
            ]
            dropped = {
                name
                for old in [*stale, task.name]
                if old in graph.tasks
                for _, name in graph.tasks[old].inputs
            }
            for name in stale:
                graph = graph.without_task(name)
            for _, name in task.outputs:
                if name in graph.data and graph.data[name].content is not None:
                    graph = graph.without_data(name)
            for name, value in (values or {}).items():
                graph = graph.with_data(Data(name, content=self._give(value)))
            graph = graph.with_task(task)
            for name in dropped:
                data = graph.data.get(name)
                if data is not None and data.content is not None and not graph.dependents(name):
                    graph = graph.without_data(name)
            self._record(f"define {task.name}", graph)
            if self.auto and run and not self.dry:
                self.run()
            elif run and not self.dry:
                self.run(task.name)
        return tuple(DataHandle(self.values, name) for _, name in task.outputs)

    def append(self, task: Task, key: str, inputs: tuple[tuple[str, str], ...]) -> None:
        """Add a new task whose key is known, and start it: the short way for calls of functions.

        Tasks added in a loop enter the graph together, when somebody looks at it or they are sent
        to the engine; each is still one operation.

        Parameters
        ----------
        task : Task
            Named after its key, so that a task of this name is this very task.
        key : str
        inputs : tuple of (str, str)
            (slot, key of the data).
        """
        with self._edits:
            if task.name not in self._appended and task.name not in self._history.graph.tasks:
                self._appended[task.name] = (task, key)
                self._fresh.update((name, (key, output)) for output, name in task.outputs)
            if not self.dry:
                self._execution.call(task, key, inputs)

    def fresh(self, data: str) -> tuple[str, str] | None:
        """Return (task's key, output) of a data whose task has not entered the graph yet."""
        return self._fresh.get(data)

    def settle(self) -> None:
        """Let the tasks appended since enter the graph."""
        with self._edits:
            added = tuple(self._appended.values())
            if not added:
                return
            base = self._history.graph
            keys = graph_keys(base, self._keys)
            labels = [f"invoke {task.name}" for task, _ in added]
            self._history.record_each(labels, [task for task, _ in added])
            self._keys = keys.extended(self._history.graph, added)
            self._appended, self._fresh = {}, {}
            label = labels[0] if len(labels) == 1 else f"invoke {len(labels)} tasks"
            self.news.publish((GraphChanged(time.time(), self.revision, label),))

    def remove(self, name: str) -> None:
        """Remove a task; what reads its outputs is blocked until something makes them again."""
        with self._edits:
            if name not in self.graph.tasks:
                producer = self.graph.data[name].producer if name in self.graph.data else None
                raise self._no_task(name, producer)
            self._record(f"remove {name}", self.graph.without_task(name))

    def put(self, value: Any, name: str | None = None) -> DataHandle:
        """Keep a value and return a handle on it, to pass to tasks without sending it each time."""
        with self._edits:
            content = self._give(value)
            name = name or f"value-{content[:12]}"
            self._record(f"put {name}", self.graph.with_data(Data(name, content=content)))
        return DataHandle(self.values, name)

    def undo(self) -> str:
        """Take back the last operation and return its label; nothing is run by it."""
        with self._edits:
            self.settle()
            label = self._history.undo()
            self.news.publish((GraphChanged(time.time(), self.revision, f"undo {label}"),))
        return label

    def redo(self) -> str:
        """Do again what was undone last and return its label."""
        with self._edits:
            self.settle()
            label = self._history.redo()
            self.news.publish((GraphChanged(time.time(), self.revision, f"redo {label}"),))
        return label

    def reset(self) -> None:
        """Cancel everything and start from an empty graph; stored values stay stored."""
        self.cancel()
        with self._edits:
            self._record("reset", Graph())

    def _record(self, label: str, graph: Graph) -> None:
        self._history.record(label, graph)
        self.news.publish((GraphChanged(time.time(), self.revision, label),))

    def _give(self, value: Any) -> str:
        stored = self.store.put(value)
        if not self.store.shared:
            self.engine.hold(stored.id, value)
        return stored.id

    # -- running -------------------------------------------------------------------------------

    def plan(self, *targets: Target, force: Iterable[str] = ()) -> Plan:
        """Say what would run and why; nothing is computed.

        Parameters
        ----------
        *targets : str or DataHandle
            Names of tasks or data; none means everything.
        force : iterable of str
            Names of tasks or data to compute again even though they are stored.
        """
        with self._edits:
            return self._plan(targets, force, self._execution.alive())

    def _plan(
        self, targets: tuple[Target, ...], force: Iterable[str], active: Mapping[str, str]
    ) -> Plan:
        self.store.refresh()
        return make_plan(
            self.graph,
            self._tasks_of(targets) if targets else None,
            keys=self.keys,
            find=self.store.find,
            last=self.store.last,
            force=self._tasks_of(force),
            active=active,
            unserved=self._execution.unserved,
        )

    def run(self, *targets: Target, force: Iterable[str] = ()) -> Run:
        """Bring targets, or everything, up to date; return at once.

        Parameters as in `plan`. Tasks that run already are joined, not started twice.
        """
        with self._edits:
            active = self._execution.alive()
            plan = self._plan(targets, force, active)
            if self.dry and plan.to_run:
                names = ", ".join(plan.to_run)
                raise NotComputedError(f"Nothing is computed while planning; not stored: {names}.")
            return self._execution.start(plan, self._tasks_of(force), active)

    def cancel(self, *targets: Target) -> None:
        """Stop targets, or everything that runs, and what needs them; return at once."""
        names = self._tasks_of(targets) if targets else tuple(self.graph.tasks)
        keys = [self.keys.tasks[n] for n in names if n in self.keys.tasks]
        busy = [key for key in keys if self._execution.busy(key)]
        self._execution.flush()
        if busy:
            self.engine.cancel(busy)

    def why(self, name: str) -> str:
        """Say in words why a task, or the task that makes a data, is in the state it is in."""
        found = self._tasks_of([name])
        if not found:
            return self._why_no_task(name)
        (task,) = found
        state = self.state_of(task)
        status = self.status_of(task)
        if status is None or state in ("stale", "new"):
            return f"{task}: {state}; {self.plan(task).steps[task].why}"
        said = status.failure.message if status.failure else status.why
        if not status.settled or state == "running":
            self._execution.flush()
            said = self.engine.why(self.keys.tasks[task]) or said
        if not said and status.seconds:
            worker = self.status.workers.get(status.worker)
            by = worker.name if worker is not None and worker.name else status.worker
            said = f"computed in {status.seconds:.3g} s by {by}"
        return f"{task}: {state}{'; ' + said if said else ''}"

    def _why_no_task(self, name: str) -> str:
        readers = ", ".join(self.graph.dependents(name)) or "no task"
        if self.graph.data[name].orphan:
            return f"{name}: nothing makes it any more; read by {readers}. Define a task for it."
        return f"{name}: given from outside; read by {readers}"

    # -- questions -----------------------------------------------------------------------------

    def handle(self, name: str) -> DataHandle:
        """Return a handle on the data of this name."""
        self.values.data(name)
        return DataHandle(self.values, name)

    def state_of(self, task: str) -> str:
        """Return the state to show for a task: an `events.State`, ``"stale"`` or ``"new"``."""
        status = self.status_of(task)
        if status is not None:
            return status.state
        key = self.keys.tasks.get(task)
        if key is not None and self.store.find(key) is not None:
            return "cached"
        return "stale" if self._execution.ran(task) else "new"

    def status_of(self, task: str) -> TaskStatus | None:
        """Return the status of a task's current key, or None if it was neither run nor found."""
        key = self.keys.tasks.get(task)
        return None if key is None else self.status.tasks.get(key)

    def _tasks_of(self, targets: Iterable[Target]) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for target in targets:
            name = target.name if isinstance(target, DataHandle) else target
            if name in self.graph.tasks:
                found[name] = None
            elif name in self.graph.data:
                producer = self.graph.data[name].producer
                if producer is not None:
                    found[producer] = None
            else:
                raise self._no_task(name)
        return tuple(found)

    def _no_task(self, name: str, producer: str | None = None) -> GraphError:
        if producer is not None:
            return GraphError(f"{name!r} is no task but data, made by task {producer!r}.")
        close = get_close_matches(name, [*self.graph.tasks, *self.graph.data], n=1)
        meant = f"; did you mean {close[0]!r}?" if close else "."
        known = ", ".join(sorted(self.graph.tasks)[:20]) or "none yet"
        return GraphError(f"There is no task or data named {name!r}{meant} Tasks: {known}.")

    # -- views, life ---------------------------------------------------------------------------

    def view(self, name: str = "graph") -> Any:
        """Return a live view of this workflow, from the entry points ``jupyter_wf.views``."""
        found = {point.name: point for point in entry_points(group="jupyter_wf.views")}
        if name not in found:
            known = ", ".join(sorted(found)) or "none"
            raise WorkflowError(f"There is no view named {name!r}. Installed: {known}.")
        return found[name].load()(self)

    def flush(self) -> None:
        """Wait until all that was computed is durable, and learn what others committed."""
        self._execution.flush()
        if self._engine is not None:
            self._engine.flush()
        self.store.refresh()

    def close(self) -> None:
        """Wait until computed values are durable, cancel the rest, let go of machines and files."""
        self._execution.close()
        with self._edits:
            engine, self._closed = self._engine, True
        if engine is not None:
            engine.flush(AT_EXIT)
            with suppress(EngineError):  # it was closed, or lost its machines
                engine.cancel([key for key, task in self.status.tasks.items() if not task.settled])
            engine.close()
        if self._store is not None:
            self._store.close()

    @contextmanager
    def active(self) -> Iterator[Self]:
        """Have calls of task functions go to this workflow for a while, and leave it open."""
        token = _current.set(self)
        try:
            yield self
        finally:
            _current.reset(token)

    def __enter__(self) -> Self:
        self._tokens.append(_current.set(self))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _current.reset(self._tokens.pop())
        if kind is not None:
            self.cancel()
        else:
            tasks = self.status.tasks
            self.wait(lambda: all(t.settled for t in tasks.values()), None)
        self.close()

    def __repr__(self) -> str:
        return f"<Workflow: {len(self.graph.tasks)} tasks, revision {self.revision}>"


@dataclass(slots=True)
class Settings:
    """What workflows made under it take where they are told nothing: the command line's say.

    Parameters
    ----------
    engine : callable or None
        Makes an engine.
    store : str or None
        Folder or URL.
    dry : bool
        Whether nothing may be computed.
    made : list of Workflow
        The workflows made under it.
    """

    engine: Callable[[], Engine] | None = None
    store: str | None = None
    dry: bool = False
    made: list[Workflow] = field(default_factory=list)

    def apply(self, flow: Workflow) -> None:
        """Give a new workflow what it was not told, and remember it."""
        flow.dry = self.dry
        flow._make_engine = self.engine or _embedded
        if self.store is not None and flow._store is None and flow._wanted_store == STORE:
            flow._wanted_store = self.store
        self.made.append(flow)


settings: ContextVar[Settings | None] = ContextVar("jupyter_wf_settings", default=None)
_current: ContextVar[Workflow] = ContextVar("jupyter_wf_workflow")
_default: list[Workflow] = []


def current() -> Workflow:
    """Return the active workflow: that of the enclosing ``with``, or one made at first use."""
    found = _current.get(None)
    if found is not None:
        return found
    if not _default or _default[0]._closed:
        if not _default:
            # What `atexit` calls comes too late, when executors take no work any more. These
            # callbacks go backwards, so that of executors has to be registered before.
            importlib.import_module("concurrent.futures.thread")
            threading._register_atexit(_close_default)  # type: ignore[attr-defined]
        _default[:] = [Workflow()]
    return _default[0]


def _close_default() -> None:
    _default[0].close()


def connect(target: Any = None) -> Workflow:
    """Run the active workflow on other machines; see `Workflow.connect`."""
    flow = current()
    flow.connect(target)
    return flow


def _embedded(target: Any = None) -> Engine:
    from jupyter_wf.engine.dask import DaskEngine

    return DaskEngine(target)
