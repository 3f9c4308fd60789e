"""What a task is, as text that a hash can be taken of, and the keys of a graph.

A *fingerprint* says what a task's code is, a *key* how a value is made, a *recipe* what a task is
and which values it read. Every one is a blake3 hash of 160 bits, written as 40 hexadecimal digits,
of fields kept apart, so that no two lists of fields are the same bytes.

This module covers text and graphs. It does not cover Python objects (`closure`) or values
(`encodings`).
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field

from blake3 import blake3
from immutables import Map

from jupyter_wf.graph import Graph, Task

#: Raised whenever a key of the same thing would come out otherwise than before.
SCHEMA = "1"
#: Syntax trees differ between minor versions of Python, and so may what code does.
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"

_BLOCKS = ("body", "orelse", "finalbody")
_LEFT_OUT = frozenset({"kind", "type_comment", "type_ignores"})


def digest(*fields: str) -> str:
    """Hash fields of text unambiguously: 40 hexadecimal digits.

    Examples
    --------
    >>> digest("ab", "c") == digest("a", "bc")
    False
    """
    text = "\0".join(fields)
    if text.count("\0") >= len(fields) or text[:1] == "\0":  # a separator that may mislead
        text = "\0".join(["\0lengths", *(str(len(item)) for item in fields), text])
    return blake3(text.encode("utf-8", "surrogatepass")).hexdigest(length=20)


def normalise(source: str | ast.AST) -> str:
    r"""Write code as its bare syntax tree: no positions, layout, comments, docstrings or ``pass``.

    Strings that stand alone as statements count as comments. Names are kept as they are: renaming
    a variable of the code itself gives other text, even where it computes the same.

    Parameters
    ----------
    source : str or ast.AST
        Code, or a syntax tree of it; a tree is not changed.

    Raises
    ------
    SyntaxError
        The source is not Python.

    Examples
    --------
    >>> normalise("x = (1 +\n    2)  # three") == normalise("'''Sum.'''\nx = 1+2")
    True
    """
    tree = ast.parse(source) if isinstance(source, str) else source
    written: list[str] = []
    todo: list[object] = [tree]
    while todo:
        item = todo.pop()
        if isinstance(item, ast.AST):
            written.append(f"{type(item).__name__}(")
            todo.append(")")
            for name in reversed(item._fields):
                value = getattr(item, name, None)
                if value is None or name in _LEFT_OUT:
                    continue
                if name in _BLOCKS and isinstance(value, list):
                    value = [s for s in value if not _idle(s)]
                todo.append(value if isinstance(value, (ast.AST, list)) else _literal(value))
                todo.append(f"{name}=")
        elif isinstance(item, list):
            written.append("[")
            todo.append("]")
            todo.extend("~" if entry is None else _entry(entry) for entry in reversed(item))
        else:
            written.append(f"{item} ")
    return "".join(written)


def _idle(statement: ast.AST) -> bool:
    """Whether a statement does nothing: ``pass``, or a string that stands alone."""
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return isinstance(statement.value.value, str)
    return isinstance(statement, ast.Pass)


def _entry(entry: object) -> object:
    return entry if isinstance(entry, (ast.AST, list)) else _literal(entry)


def _literal(value: object) -> str:
    # The decimal form of a huge integer is refused by Python; its hexadecimal form is not.
    return hex(value) if type(value) is int else repr(value)


def combine(parts: Iterable[tuple[str, str]]) -> str:
    """Make a fingerprint of (description, digest) pairs, whose order has no meaning."""
    return digest("code", SCHEMA, PYTHON, *(item for part in sorted(parts) for item in part))


def task_key(fingerprint: str, call_digest: str | None, inputs: Iterable[tuple[str, str]]) -> str:
    """Key of a task: its fingerprint, constant arguments, and (slot, data key) of its inputs."""
    return digest("task", fingerprint, call_digest or "", *_flat(inputs))


def recipe(fingerprint: str, call_digest: str | None, inputs: Iterable[tuple[str, str]]) -> str:
    """Recipe of a task: its fingerprint, constant arguments, and (slot, content id) it read."""
    return digest("recipe", fingerprint, call_digest or "", *_flat(inputs))


def data_key(task_key: str, output: str) -> str:
    """Key of the data that a task produces under the name `output` of its own."""
    return digest("data", task_key, output)


def source_key(content_id: str) -> str:
    """Key of a value given from outside: what it is says how it is made."""
    return digest("source", content_id)


def _flat(pairs: Iterable[tuple[str, str]]) -> list[str]:
    flat: list[str] = []
    for pair in sorted(pairs):
        flat += pair
    return flat


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of a graph's tasks and data, by name.

    A task that needs an orphan, directly or not, has no key, and neither have its outputs.

    Parameters
    ----------
    tasks, data : mapping of str to str
        Name to key.
    graph : Graph
        What they are the keys of.
    """

    tasks: Map[str, str] = field(default_factory=Map)
    data: Map[str, str] = field(default_factory=Map)
    graph: Graph = field(default_factory=Graph, repr=False, compare=False)

    def extended(self, graph: Graph, added: Iterable[tuple[Task, str]]) -> Keys:
        """Return the keys of `graph`, which has these tasks more, whose keys are given."""
        tasks, data = self.tasks.mutate(), self.data.mutate()
        for task, key in added:
            tasks[task.name] = key
            for output, name in task.outputs:
                data[name] = data_key(key, output)
        return Keys(tasks.finish(), data.finish(), graph)


def graph_keys(graph: Graph, previous: Keys | None = None) -> Keys:
    """Compute the keys of a graph.

    Parameters
    ----------
    graph : Graph
    previous : Keys or None
        Keys of an earlier revision: of a task that is the same object there, and reads data of
        the same keys, the key is taken over.
    """
    if previous is None:
        previous = Keys()
    elif previous.graph is graph:
        return previous
    old_tasks, old_keys, old_data = previous.graph.tasks, previous.tasks, previous.data
    tasks: dict[str, str] = {}
    data: dict[str, str] = {}
    moved: set[str] = set()
    for name, value in graph.data.items():
        if value.producer is None:
            if value.content is not None:
                data[name] = source_key(value.content)
            if data.get(name) != old_data.get(name):
                moved.add(name)
    for name in graph.order():
        task = graph.tasks[name]
        if (
            name in old_keys
            and old_tasks[name] is task
            and not (moved and any(source in moved for _, source in task.inputs))
        ):
            tasks[name] = old_keys[name]
            for _, output in task.outputs:
                data[output] = old_data[output]
            continue
        try:
            inputs = [(slot, data[source]) for slot, source in task.inputs]
        except KeyError:
            moved.update(output for _, output in task.outputs if output in old_data)
            continue
        call = None if task.call is None else task.call.digest
        tasks[name] = key = task_key(task.code.fingerprint, call, inputs)
        for output, target in task.outputs:
            data[target] = made = data_key(key, output)
            if old_data.get(target) != made:
                moved.add(target)
    return Keys(Map(tasks), Map(data), graph)
