"""A cell becomes a `Task`: every name its body reads is an edge, a definition or a given value.

Nothing is run, submitted or written here: the namespace of the notebook is only looked at.
"""

from __future__ import annotations

import builtins
import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from jupyter_wf.closure import cell_code
from jupyter_wf.engine.environments import locked
from jupyter_wf.errors import CaptureError
from jupyter_wf.graph import Graph, Task
from jupyter_wf.magics.kinds import is_definition, is_of_notebook
from jupyter_wf.magics.names import Names, names
from jupyter_wf.magics.options import Options
from jupyter_wf.magics.parsing import parse
from jupyter_wf.naming import MAX_NAME

#: Line of the cell on which the body starts: below ``%%task``.
BODY_LINE = 2
#: What IPython adds to the builtins, and a worker does not have.
_IPYTHON_ONLY = {"display", "get_ipython"}
_BUILTINS = frozenset(dir(builtins)) - _IPYTHON_ONLY


@dataclass(frozen=True, slots=True)
class Captured:
    """A task, and the values of the notebook that it reads, by name of the data."""

    task: Task
    values: Mapping[str, Any] = field(default_factory=dict, repr=False)


def capture(
    options: Options,
    body: str,
    *,
    namespace: Mapping[str, Any],
    graph: Graph,
    data_of: Callable[[Any], str | None],
    cell: str | None = None,
) -> Captured:
    """Make a task of a cell's body.

    Parameters
    ----------
    options : Options
        What the ``%%task`` line says.
    body : str
        The cell below that line.
    namespace : mapping
        The notebook's variables.
    graph : Graph
        The workflow so far: a name that is no variable may be data of it.
    data_of : callable
        Returns the name of the data that a handle stands for, or None for anything else.
    cell : str or None
        Id of the notebook cell.

    Raises
    ------
    CaptureError
        The body is no task; says which name or line is at fault, and the remedy.
    """
    found = names(body, BODY_LINE)
    source, first_line = body, BODY_LINE
    if options.seed is not None:
        # The line of the magic itself has the place for it, so that no other line moves.
        source, first_line = f"{_seeding(options.seed)}\n{body}", BODY_LINE - 1
        parse(source, first_line)
    outputs = _outputs(options, found)
    name = _name(options, found, outputs)
    reads = _Reads(name, namespace, graph, data_of)
    for read in _wanted(options, found):
        if not (read == "rng" and options.seed is not None):
            reads.add(read)
    unsaid = [] if options.inputs is None else [n for n in reads.inputs if n not in options.inputs]
    if unsaid:
        raise CaptureError(f"the body also reads {_list(unsaid)}: add it to -i, or leave -i out.")
    code = cell_code(
        source,
        reads.definitions,
        label=name,
        filename=f"<task {name}>",
        first_line=first_line,
        extra=() if options.seed is None else (("seed", str(options.seed)),),
        environment=None if options.environment is None else locked(options.environment),
    )
    task = Task(
        name,
        code,
        inputs=tuple(sorted(reads.inputs.items())),
        outputs=tuple((output, output) for output in outputs),
        requirements=options.requirements,
        cell=cell,
    )
    return Captured(task, reads.values)


def _seeding(seed: int) -> str:
    return (
        f"__import__('random').seed({seed}); __import__('numpy').random.seed({seed % 2**32}); "
        f"rng = __import__('numpy').random.default_rng({abs(seed)})"
    )


def _outputs(options: Options, found: Names) -> tuple[str, ...]:
    if options.outputs is None:
        return found.outputs
    missing = [name for name in options.outputs if name not in found.bound]
    if missing:
        bound = ", ".join(f"`{n}`" for n in sorted(found.bound)) or "nothing"
        raise CaptureError(f"-o names {_list(missing)}, but the body binds {bound}.")
    return options.outputs


def _name(options: Options, found: Names, outputs: tuple[str, ...]) -> str:
    if options.name is not None:
        return options.name
    if not outputs:
        only = ""
        if found.defined:
            only = (
                f" Definitions, here of {_list(found.defined)}, are no outputs: in a plain cell, "
                f"without %%task, every task can use them."
            )
        raise CaptureError(
            f"This task makes nothing that another could read. Assign its result to a variable, "
            f"or name the task: %%task NAME.{only}"
        )
    return "_".join(outputs)[:MAX_NAME]


def _wanted(options: Options, found: Names) -> Iterable[str]:
    if options.inputs is None:
        return found.reads
    return dict.fromkeys((*found.reads, *options.inputs))


class _Reads:
    """Sorts the names that one body reads."""

    def __init__(
        self,
        task: str,
        namespace: Mapping[str, Any],
        graph: Graph,
        data_of: Callable[[Any], str | None],
    ) -> None:
        self.inputs: dict[str, str] = {}
        self.values: dict[str, Any] = {}
        self.definitions: dict[str, Any] = {}
        self._task, self._namespace, self._graph = task, namespace, graph
        self._data_of = data_of

    def add(self, name: str) -> None:
        """Make `name` an edge, a definition or a given value."""
        if name not in self._namespace:
            if name in self._graph.data:
                self.inputs[name] = name
            elif name == "display":
                # On a worker it prints, as it does in a plain Python session.
                from IPython.display import display

                self.definitions[name] = display
            elif name not in _BUILTINS:
                raise self._unknown(name)
            return
        value = self._namespace[name]
        data = self._data_of(value)
        if data is not None:
            if data not in self._graph.data:
                raise CaptureError(
                    f"`{name}` stands for {data!r}, which is no longer part of the workflow. "
                    f"Run the cell that makes it, or %wf undo."
                )
            self.inputs[name] = data
        elif is_definition(value):
            self.definitions[name] = value
        else:
            self._give(name, value)

    def _give(self, name: str, value: Any) -> None:
        producer = self._graph.data[name].producer if name in self._graph.data else None
        if producer is not None and producer != self._task:
            raise CaptureError(
                f"`{name}` is made by task {producer!r}, but in the notebook it is now another "
                f"value ({type(value).__name__}). To read the task's, `del {name}`; to read the "
                f"notebook's, give it another name."
            )
        inside = self._handle_in(value)
        if inside is not None:
            raise CaptureError(
                f"`{name}` is a {type(value).__name__} that contains the data {inside!r}, so the "
                f"task would not see its value. Use `{inside}` in the body by its own name."
            )
        if is_of_notebook(value):
            self.definitions[name] = value
            return
        self.inputs[name] = name
        self.values[name] = value

    def _handle_in(self, value: Any, depth: int = 3) -> str | None:
        if isinstance(value, dict):
            entries: Iterable[Any] = value.values()
        elif isinstance(value, list | tuple | set | frozenset):
            entries = value
        else:
            return None
        for entry in entries:
            found = self._data_of(entry)
            if found is None and depth:
                found = self._handle_in(entry, depth - 1)
            if found is not None:
                return found
        return None

    def _unknown(self, name: str) -> CaptureError:
        if name == "get_ipython":
            return CaptureError(
                "`get_ipython` is the notebook's, and a task runs on a worker. "
                "Move that line to a cell of its own."
            )
        known = [n for n in {*self._namespace, *self._graph.data} if not n.startswith("_")]
        close = difflib.get_close_matches(name, [*known, *_BUILTINS], n=1)
        lower = [n for n in known if n.lower() == name.lower()]
        meant = f"; did you mean `{(lower or close)[0]}`?" if lower or close else "."
        return CaptureError(
            f"nothing produces `{name}`{meant} "
            f"Run the cell that makes it first, or assign it in this one."
        )


def _list(found: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in found)
