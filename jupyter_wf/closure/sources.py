"""Finds the syntax tree of a function, and the names from outside that code uses."""

from __future__ import annotations

import ast
import copy
import dis
import linecache
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import CodeType, FunctionType, ModuleType
from typing import TypeAlias

from jupyter_wf.closure.packages import OURS

FunctionNode: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
#: For each name, the attributes that are read from it: ``np.linalg.svd`` gives ("linalg", "svd").
Chains: TypeAlias = Mapping[str, frozenset[tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a function was written: its tree, and the lines that hold it, unchanged."""

    node: FunctionNode
    text: str


def source_of(function: FunctionType) -> Source | None:
    """Find where a function was written, or None if there is no text of it.

    Works for files, for cells of IPython, and wherever else `linecache` knows the text.
    """
    code = function.__code__
    linecache.checkcache(code.co_filename)
    lines = linecache.getlines(code.co_filename, function.__globals__)
    found = _functions("".join(lines)).get((code.co_firstlineno, code.co_name), ())
    if len(found) > 1:
        found = tuple(node for node in found if _span(node) == _covered(code))
    if len(found) != 1:
        return None
    node = found[0]
    return Source(node, "".join(lines[code.co_firstlineno - 1 : node.end_lineno]))


@lru_cache(maxsize=128)
def _functions(text: str) -> dict[tuple[int, str], tuple[FunctionNode, ...]]:
    """Index a file's functions by the line and name that their code objects have."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return {}
    found: dict[tuple[int, str], tuple[FunctionNode, ...]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Lambda):
            place = (node.lineno, "<lambda>")
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            place = (min(n.lineno for n in (node, *node.decorator_list)), node.name)
        else:
            continue
        found[place] = (*found.get(place, ()), node)
    return found


def _span(node: FunctionNode) -> tuple[int | None, ...]:
    """First line and column, last line and column of a lambda's body."""
    if not isinstance(node, ast.Lambda):
        return ()
    body = node.body
    return (body.lineno, body.col_offset, body.end_lineno, body.end_col_offset)


def _covered(code: CodeType) -> tuple[int, ...]:
    """Tell from the positions of a lambda's instructions what its `_span` must be."""
    starts, ends = [], []
    for line, end_line, column, end_column in code.co_positions():
        if None not in (line, end_line, column, end_column) and end_column:
            starts.append((line or 0, column or 0))
            ends.append((end_line or 0, end_column))
    return (*min(starts), *max(ends)) if starts else (0, 0, 0, 0)


def without_our_decorators(node: FunctionNode, namespace: Mapping[str, object]) -> FunctionNode:
    """Leave out ``@wf.task(…)``: what it asks of a worker is no part of what the function does."""
    if isinstance(node, ast.Lambda):
        return node
    kept = [d for d in node.decorator_list if not _is_ours(d, namespace)]
    if len(kept) == len(node.decorator_list):
        return node
    bare = copy.copy(node)
    bare.decorator_list = kept
    return bare


def _is_ours(decorator: ast.expr, namespace: Mapping[str, object]) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    names = _dotted(called)
    if names is None or names[0] not in namespace:
        return False
    value = namespace[names[0]]
    module = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", "")
    last = names[-1] if len(names) > 1 else getattr(value, "__name__", names[0])
    return last == "task" and str(module).partition(".")[0] == OURS


def _dotted(node: ast.AST) -> tuple[str, ...] | None:
    """Names of ``a.b.c``, or None if the expression is anything else."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return (node.id, *reversed(names)) if isinstance(node, ast.Name) else None


def chains(tree: ast.AST, names: Iterable[str]) -> Chains:
    """Say which attributes code reads from `names`."""
    found: dict[str, set[tuple[str, ...]]] = {name: set() for name in names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            dotted = _dotted(node)
            if dotted is not None and dotted[0] in found:
                found[dotted[0]].add(dotted[1:])
    return {name: frozenset(paths) for name, paths in found.items()}


@lru_cache(maxsize=4096)
def global_names(code: CodeType) -> tuple[str, ...]:
    """Names that code, or a function or comprehension within it, looks up in its module, sorted."""
    found = {
        str(step.argval)
        for step in dis.get_instructions(code)
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
    }
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found.update(global_names(constant))
    return tuple(sorted(found - {"__name__", "__module__", "__qualname__"}))
