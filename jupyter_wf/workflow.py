"""The one mutable object: the current graph, what runs it, where values are kept, who listens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from importlib.metadata import entry_points
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import Any, Self

from jupyter_wf import rewrite
from jupyter_wf.engine.abc import Engine, Store
from jupyter_wf.errors import NotComputedError, WorkflowError
from jupyter_wf.events import GraphChanged, Listener
from jupyter_wf.execution import Execution
from jupyter_wf.fingerprint import Keys
from jupyter_wf.graph import Data, Graph, Task
from jupyter_wf.handle import DataHandle
from jupyter_wf.history import History
from jupyter_wf.lookup import no_task, tasks_named, whole
from jupyter_wf.news import News
from jupyter_wf.place import Place, embedded
from jupyter_wf.plan import Plan
from jupyter_wf.run import Run
from jupyter_wf.settings import Settings, settings
from jupyter_wf.status import Status, TaskStatus
from jupyter_wf.values import Values
from jupyter_wf.why import why

Target = str | DataHandle
#: The workflow of the innermost ``with`` around what runs now.
entered: ContextVar[Workflow] = ContextVar("jupyter_wf_workflow")


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
        told = settings.get() or Settings()
        told.made.append(self)
        self.news = News()
        self.values = Values(self)
        self._edits = RLock()  # the graph, the engine, submissions
        self._execution = Execution(self, self._edits)
        self._history = History()
        #: Whether every change runs what depends on it.
        self.auto = False
        #: Under `jupyter wf plan` nothing may be computed.
        self.dry = told.dry
        self._place = Place(self, self._edits, engine, store, told)
        self._tokens: list[Token[Workflow]] = []

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
        if self._history.unsettled:
            self.settle()
        return self._history.graph

    @property
    def revision(self) -> int:
        """Number of the current graph; every operation, undo and redo included, adds one."""
        return self._history.revision

    @property
    def keys(self) -> Keys:
        """Keys of the current graph's tasks and data."""
        if self._history.unsettled:
            self.settle()
        return self._history.keys

    @property
    def store(self) -> Store:
        """Where values are kept; opened at first use."""
        return self._place.store

    @property
    def engine(self) -> Engine:
        """What runs tasks; made at first use."""
        return self._place.engine

    @property
    def closed(self) -> bool:
        """Whether it is over: nothing runs any more."""
        return self._place.closed

    def connect(self, target: Any = None) -> None:
        """Run on other machines from now on.

        Parameters
        ----------
        target : str, Engine, Client, Cluster or None
            Address of a Dask scheduler, a ``distributed.Client``, any Dask ``Cluster``, an engine
            of ours, or None for an embedded cluster. What is running elsewhere is cancelled.
        """
        self._execution.flush()
        self._place.move(target if isinstance(target, Engine) else embedded(target))

    # -- edits: each is one operation ----------------------------------------------------------

    def define(
        self, task: Task, values: Mapping[str, Any] | None = None, run: bool = True
    ) -> tuple[DataHandle, ...]:
        """Add a task, or replace the one of the same name or cell; return a handle on each output.

        Parameters
        ----------
        task : Task
        values : mapping, optional
            Values given from outside that it reads, by name of the data.
        run : bool
            Whether to start it, and what it needs, at once.
        """
        with self._edits:
            given = {name: self._give(value) for name, value in (values or {}).items()}
            self._record(f"define {task.name}", rewrite.define(self.graph, task, given))
            if run and not self.dry:
                targets = () if self.auto else (task.name,)
                self.run(*targets)
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
            self._history.append(task, key)
            if not self.dry:
                self._execution.call(task, key, inputs)

    def fresh(self, data: str) -> tuple[str, str] | None:
        """Return (task's key, output) of a data whose task has not entered the graph yet."""
        return self._history.fresh(data)

    def settle(self) -> None:
        """Let the tasks appended since enter the graph."""
        with self._edits:
            if self._history.unsettled:
                self._tell(self._history.settle())

    def remove(self, name: str) -> None:
        """Remove a task; what reads its outputs is blocked until something makes them again."""
        with self._edits:
            graph, name = self.graph, whole(self.graph, name)
            if name not in graph.tasks:
                raise no_task(graph, name)
            self._record(f"remove {name}", graph.without_task(name))

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
            self._tell(f"undo {label}")
        return label

    def redo(self) -> str:
        """Do again what was undone last and return its label."""
        with self._edits:
            self.settle()
            label = self._history.redo()
            self._tell(f"redo {label}")
        return label

    def reset(self) -> None:
        """Cancel everything and start from an empty graph; stored values stay stored."""
        self.cancel()
        with self._edits:
            self._record("reset", Graph())

    def _record(self, label: str, graph: Graph) -> None:
        self._history.record(label, graph)
        self._tell(label)

    def _tell(self, label: str) -> None:
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
            wanted = self._tasks_of(targets) if targets else None
            return self._execution.plan(wanted, self._tasks_of(force), self._execution.alive())

    def run(self, *targets: Target, force: Iterable[str] = ()) -> Run:
        """Bring targets, or everything, up to date; return at once.

        Parameters as in `plan`. Tasks that run already are joined, not started twice.
        """
        with self._edits:
            wanted = self._tasks_of(targets) if targets else None
            forced, active = self._tasks_of(force), self._execution.alive()
            plan = self._execution.plan(wanted, forced, active)
            if self.dry and plan.to_run:
                names = ", ".join(plan.to_run)
                raise NotComputedError(f"Nothing is computed while planning; not stored: {names}.")
            return self._execution.start(plan, forced, active)

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
        self._execution.flush()
        return why(self, name)

    # -- questions -----------------------------------------------------------------------------

    def handle(self, name: str) -> DataHandle:
        """Return a handle on the data of this name."""
        name = whole(self.graph, name)
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
        names = (one.name if isinstance(one, DataHandle) else one for one in targets)
        return tasks_named(self.graph, names)

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
        self._place.flush()

    def close(self) -> None:
        """Wait until computed values are durable, cancel the rest, let go of machines and files."""
        self._execution.close()
        self._place.close()

    @contextmanager
    def active(self) -> Iterator[Self]:
        """Have calls of task functions go to this workflow for a while, and leave it open."""
        token = entered.set(self)
        try:
            yield self
        finally:
            entered.reset(token)

    def __enter__(self) -> Self:
        self._tokens.append(entered.set(self))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        entered.reset(self._tokens.pop())
        if kind is not None:
            self.cancel()
        else:
            tasks = self.status.tasks
            self.wait(lambda: all(t.settled for t in tasks.values()), None)
        self.close()

    def __repr__(self) -> str:
        return f"<Workflow: {len(self.graph.tasks)} tasks, revision {self.revision}>"
