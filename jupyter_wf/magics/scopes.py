"""What nested scopes (functions, classes, comprehensions) take from the scope around them."""

from __future__ import annotations

import ast
import symtable
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_OWN = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Lambda,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
    ast.GeneratorExp,
)
_AT_ONCE = ("listcomp", "setcomp", "dictcomp", "genexpr")


@dataclass(frozen=True, slots=True)
class Scope:
    """Global names of a nested scope: read at once, read when called, and bound outside it."""

    now: tuple[str, ...]
    later: tuple[str, ...]
    binds: tuple[str, ...]


def scope(node: ast.AST) -> Scope:
    """Return the global names that a definition, lambda or comprehension uses.

    Python's own symbol table decides, so ``global``, ``nonlocal``, class scopes and type
    parameters mean what they mean.

    Examples
    --------
    >>> scope(ast.parse("def f(a=K): return a + g(X)").body[0])
    Scope(now=('K',), later=('X', 'g'), binds=())
    """
    body = node if isinstance(node, ast.stmt) else ast.Expr(node)  # type: ignore[arg-type]
    module = ast.Module([body], [])
    table = symtable.symtable(ast.unparse(ast.fix_missing_locations(module)), "<task>", "exec")
    own = getattr(node, "name", None)
    now: dict[str, None] = {}
    later: dict[str, None] = {}
    binds: dict[str, None] = {}
    for symbol in _sorted(table):
        if symbol.is_referenced():
            now.setdefault(symbol.get_name())
        elif symbol.get_name() != own and symbol.is_assigned():
            binds.setdefault(symbol.get_name())
    for child in table.get_children():
        _take(child, now, later, binds, at_once=True)
    return Scope(tuple(now), tuple(later), tuple(binds))


def _take(
    table: symtable.SymbolTable,
    now: dict[str, None],
    later: dict[str, None],
    binds: dict[str, None],
    *,
    at_once: bool,
) -> None:
    kind = getattr(table.get_type(), "value", table.get_type())
    if kind == "function" and table.get_name() not in _AT_ONCE:
        at_once = False
    for symbol in _sorted(table):
        if not symbol.is_global():
            continue
        if symbol.is_assigned():
            binds.setdefault(symbol.get_name())
        elif symbol.is_referenced():
            (now if at_once else later).setdefault(symbol.get_name())
    for child in table.get_children():
        _take(child, now, later, binds, at_once=at_once)


def _sorted(table: symtable.SymbolTable) -> list[symtable.Symbol]:
    return sorted(table.get_symbols(), key=lambda symbol: symbol.get_name())


def bound(body: Iterable[ast.stmt]) -> Iterator[str]:
    """Yield the names that statements bind in their own scope, some perhaps twice."""
    for node in body:
        yield from _bound(node)


def _bound(node: ast.AST) -> Iterator[str]:
    if isinstance(node, _OWN):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        yield from scope(node).binds
        return
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif isinstance(node, ast.Import | ast.ImportFrom):
        for alias in node.names:
            yield alias.asname or alias.name.partition(".")[0]
    elif isinstance(node, ast.ExceptHandler) and node.name is not None:
        yield node.name
    elif isinstance(node, ast.pattern):
        yield from captures(node)
        return
    for child in ast.iter_child_nodes(node):
        yield from _bound(child)


def captures(pattern: ast.pattern) -> Iterator[str]:
    """Yield the names that a pattern of a ``case`` binds."""
    for node in ast.walk(pattern):
        if isinstance(node, ast.MatchAs | ast.MatchStar) and node.name is not None:
            yield node.name
        elif isinstance(node, ast.MatchMapping) and node.rest is not None:
            yield node.rest
