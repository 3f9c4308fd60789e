"""The bipartite graph of tasks and immutable data, as a frozen value.

A graph never changes: every edit gives a new one that shares structure with the old (hash array
mapped tries). So adding a task costs O(log n), and undo is keeping the old value; replacing or
removing one costs O(n), as others may read what it made.

This module covers structure and its validity. It does not cover what a task *is* (`fingerprint`),
whether it must run (`plan`) or where (`engine`).
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Literal

from immutables import Map

from jupyter_wf.environment import Environment
from jupyter_wf.errors import CycleError, DoubleProducerError, GraphError, MissingInputError
from jupyter_wf.naming import check_name, short_names
from jupyter_wf.requirements import Requirements
from jupyter_wf.walks import check_no_way_back, in_order, reachable


@dataclass(frozen=True, slots=True)
class Slot:
    """Stands, inside the constant arguments of a call, for the input of that name."""

    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """The arguments of one function call that are not data.

    Parameters
    ----------
    digest : str
        Content id of the arguments.
    payload : bytes
        ``pickle.dumps((args, kwargs))`` in which a `Slot` stands wherever an input goes.
    """

    digest: str
    payload: bytes = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Code:
    """What a task does.

    Parameters
    ----------
    kind : {"cell", "function"}
        A cell's body is executed and its outputs are read from its namespace; a function is
        called with a `Call` and returns its outputs.
    label : str
        What people call it.
    source : str
        Source text as the user wrote it, for people and for tracebacks.
    fingerprint : str
        Hash of `parts`: two codes with equal fingerprints compute the same thing.
    parts : tuple of (str, str)
        What the fingerprint was made of, as (description, digest), so that two can be compared.
    payload : bytes
        cloudpickle of the function, or of a cell's definitions as a dict.
    filename, first_line : str, int
        Where `source` starts, so that tracebacks point to the user's own lines.
    environment : Environment or None
        What must be around it, with its lock; None takes the worker as it is.
    """

    kind: Literal["cell", "function"]
    label: str
    source: str = field(repr=False)
    fingerprint: str
    parts: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    payload: bytes = field(default=b"", repr=False, compare=False)
    filename: str = field(default="<task>", repr=False, compare=False)
    first_line: int = field(default=1, repr=False, compare=False)
    environment: Environment | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Task:
    """A node that computes: code, the data it reads and the data it makes.

    Parameters
    ----------
    name : str
        Unique among the tasks of a graph.
    code : Code
    inputs : tuple of (str, str)
        (slot, name of data): a slot is a variable of the cell or a `Slot` of the call.
    outputs : tuple of (str, str)
        (output, name of data): an output is a variable of the cell, or ``"result"``.
    call : Call or None
        Constant arguments of a function; None for a cell.
    requirements : Requirements
    cell : str or None
        Id of the notebook cell that defined it.
    """

    name: str
    code: Code
    inputs: tuple[tuple[str, str], ...] = ()
    outputs: tuple[tuple[str, str], ...] = ()
    call: Call | None = None
    requirements: Requirements = field(default_factory=Requirements)
    cell: str | None = None


@dataclass(frozen=True, slots=True)
class Data:
    """A node that is one immutable value.

    Parameters
    ----------
    name : str
        Unique among the data of a graph.
    producer : str or None
        The task that makes it; None for a value given from outside.
    content : str or None
        Content id of a value given from outside. Data with neither producer nor content is an
        *orphan*: some task reads it, but an edit removed what made it.
    """

    name: str
    producer: str | None = None
    content: str | None = None

    @property
    def orphan(self) -> bool:
        """Whether nothing makes this value any more."""
        return self.producer is None and self.content is None


@dataclass(frozen=True)
class Graph:
    """A frozen bipartite DAG of tasks and data.

    Examples
    --------
    >>> load = Task("load", Code("cell", "load", "X = 1", "f1"), outputs=(("X", "X"),))
    >>> fit = Task("fit", Code("cell", "fit", "m = X", "f2"), (("X", "X"),), (("m", "m"),))
    >>> g = Graph().with_task(load).with_task(fit)
    >>> g.order()
    ('load', 'fit')
    >>> g.dependents("X")
    ('fit',)
    """

    tasks: Map[str, Task] = field(default_factory=Map)
    data: Map[str, Data] = field(default_factory=Map)

    @classmethod
    def of(cls, tasks: Iterable[Task], values: Iterable[Data] = ()) -> Graph:
        """Build a graph from tasks in any order and the data given from outside.

        Raises `GraphError` or one of its kinds, naming the nodes at fault.
        """
        data = {value.name: _check_value(value) for value in values}
        made: dict[str, Task] = {}
        for task in tasks:
            _check_task(task)
            if task.name in made:
                raise GraphError(f"Two tasks are named {task.name!r}. Rename one of them.")
            made[task.name] = task
            for _, name in task.outputs:
                _check_producer(data.get(name), name, task.name)
                data[name] = Data(name, producer=task.name)
        for task in made.values():
            _check_inputs(task, data)
        graph = cls(Map(made), Map(data))
        graph.order()
        return graph

    # -- edits: each gives a new graph ----------------------------------------------------------

    def with_data(self, value: Data) -> Graph:
        """Add a value given from outside, or replace one of the same name."""
        _check_value(value)
        old = self.data.get(value.name)
        if old is not None and old.producer is not None:
            raise DoubleProducerError(
                f"{value.name!r} is produced by task {old.producer!r}. Give the value another name."
            )
        return replace(self, data=self.data.set(value.name, value))

    def with_task(self, task: Task) -> Graph:
        """Add a task, or replace the one of the same name.

        Raises `MissingInputError`, `DoubleProducerError` or `CycleError`.
        """
        return self.with_tasks((task,))

    def with_tasks(self, tasks: Iterable[Task]) -> Graph:
        """Add or replace several tasks, each after those that it reads from; see `with_task`."""
        made, data = self.tasks.mutate(), self.data.mutate()
        replaced, rewired = False, []
        for task in tasks:
            _check_task(task)
            old = made.get(task.name)
            for _, name in task.outputs:
                _check_producer(data.get(name), name, task.name)
            if old is not None or any(name in data for _, name in task.outputs):
                rewired.append(task)  # else nothing reads it yet, so it closes no cycle
            for _, name in task.outputs:
                data[name] = Data(name, producer=task.name)
            if old is not None:
                replaced = True
                for name in {n for _, n in old.outputs} - {n for _, n in task.outputs}:
                    data[name] = Data(name)
            _check_inputs(task, data)
            made[task.name] = task
        graph = Graph(made.finish(), data.finish())
        for task in rewired:
            check_no_way_back(task.name, graph.dependencies)
        return graph._pruned() if replaced else graph

    def without_task(self, name: str) -> Graph:
        """Remove a task; data that others still read stay behind as orphans."""
        if name not in self.tasks:
            raise GraphError(f"There is no task named {name!r}.")
        data = self.data.mutate()
        for _, output in self.tasks[name].outputs:
            data[output] = Data(output)
        return Graph(self.tasks.delete(name), data.finish())._pruned()

    def without_data(self, name: str) -> Graph:
        """Remove a value given from outside; it stays behind as an orphan while tasks read it."""
        if name not in self.data or self.data[name].content is None:
            raise GraphError(f"There is no value named {name!r} that was given from outside.")
        return replace(self, data=self.data.set(name, Data(name)))._pruned()

    def _pruned(self) -> Graph:
        unread = [n for n, d in self.data.items() if d.orphan and not self.dependents(n)]
        if not unread:
            return self
        data = self.data.mutate()
        for name in unread:
            del data[name]
        return replace(self, data=data.finish())

    # -- questions -----------------------------------------------------------------------------

    def producer(self, data: str) -> Task | None:
        """Return the task that makes `data`, or None for a value given from outside."""
        name = self.data[data].producer
        return None if name is None else self.tasks[name]

    @cached_property
    def _readers(self) -> Mapping[str, tuple[str, ...]]:
        readers: dict[str, dict[str, None]] = {}
        for task in self.tasks.values():
            for _, name in task.inputs:
                readers.setdefault(name, {})[task.name] = None
        return MappingProxyType({name: tuple(sorted(found)) for name, found in readers.items()})

    def dependents(self, data: str) -> tuple[str, ...]:
        """Names of the tasks that read `data`, sorted."""
        return self._readers.get(data, ())

    def dependencies(self, task: str) -> tuple[str, ...]:
        """Names of the tasks whose outputs `task` reads, in the order of its inputs."""
        found: dict[str, None] = {}
        for _, name in self.tasks[task].inputs:
            producer = self.data[name].producer
            if producer is not None:
                found[producer] = None
        return tuple(found)

    def ancestors(self, tasks: Iterable[str]) -> frozenset[str]:
        """Names of all tasks that `tasks` need, directly or not, without themselves."""
        return reachable(tasks, self.dependencies)

    def descendants(self, tasks: Iterable[str]) -> frozenset[str]:
        """Names of all tasks that need one of `tasks`, directly or not, without themselves."""
        return reachable(
            tasks, lambda t: (r for _, d in self.tasks[t].outputs for r in self.dependents(d))
        )

    def order(self) -> tuple[str, ...]:
        """Names of all tasks, each after those it depends on; ties in order of name."""
        return self._order

    @cached_property
    def _order(self) -> tuple[str, ...]:
        return in_order(sorted(self.tasks), self.dependencies)

    @cached_property
    def short_names(self) -> Mapping[str, str]:
        """Name of each task and data → as it is to be read where the graph is shown."""
        return MappingProxyType(short_names(dict.fromkeys([*self.tasks, *self.data])))


def _check_task(task: Task) -> None:
    check_name("task", task.name)
    names = [name for _, name in task.outputs]
    for name in names:
        check_name("data", name)
    if len(set(names)) != len(names):
        raise DoubleProducerError(f"Task {task.name!r} names an output twice: {', '.join(names)}.")
    slots = [slot for slot, _ in task.inputs]
    if len(set(slots)) != len(slots):
        raise GraphError(f"Task {task.name!r} reads two data under one name: {', '.join(slots)}.")
    both = sorted({n for _, n in task.inputs} & set(names))
    if both:
        raise CycleError(
            f"Task {task.name!r} both reads and produces {_list(both)}; data are immutable. "
            f"Bind the new value to another name."
        )


def _check_value(value: Data) -> Data:
    check_name("data", value.name)
    if value.producer is not None:
        raise GraphError(
            f"{value.name!r} can't be given as a value and be produced by task "
            f"{value.producer!r}. Add the task instead."
        )
    return value


def _check_producer(old: Data | None, name: str, task: str) -> None:
    if old is None or old.orphan or old.producer == task:
        return
    if old.producer is None:
        raise DoubleProducerError(
            f"Task {task!r} would produce {name!r}, which was given as a value. "
            f"Rename the output, or remove the value."
        )
    raise DoubleProducerError(
        f"{name!r} is already produced by task {old.producer!r}, so task {task!r} can't produce "
        f"it too. Rename one of the outputs, give this task the name {old.producer!r} to replace "
        f"it, or remove {old.producer!r}."
    )


def _check_inputs(task: Task, data: Container[str]) -> None:
    missing = sorted({name for _, name in task.inputs if name not in data})
    if missing:
        raise MissingInputError(
            f"Task {task.name!r} reads {_list(missing)}, which no task produces. "
            f"Define it first, or correct the name."
        )


def _list(names: list[str]) -> str:
    return ", ".join(repr(n) for n in names)
