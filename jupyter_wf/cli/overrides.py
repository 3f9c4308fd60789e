"""``--set NAME=VALUE``: a variable of the source gets another value wherever it is assigned."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from jupyter_wf.errors import CaptureError


def parse(settings: Iterable[str]) -> dict[str, Any]:
    """Return the values of ``NAME=VALUE`` texts: Python literals, or else text as it stands.

    Examples
    --------
    >>> parse(["n=3", "name=iris", "empty="])
    {'n': 3, 'name': 'iris', 'empty': ''}
    """
    found: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or not name.isidentifier():
            raise CaptureError(f"--set {setting!r}: write it as NAME=VALUE.")
        try:
            found[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            found[name] = text
    return found


def assigned(tree: ast.Module) -> Iterator[str]:
    """Yield the variables that a module assigns at top level, some perhaps twice."""
    for statement in tree.body:
        for target in _targets(statement):
            yield from _names(target)


def check(values: Mapping[str, Any], known: Iterable[str]) -> None:
    """Raise `CaptureError` for a value of a variable that the source does not assign."""
    names = sorted(set(known))
    for name in values:
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1)
            meant = f" Did you mean {close[0]!r}?" if close else ""
            raise CaptureError(
                f"--set {name}: no plain cell or statement assigns {name!r}.{meant} "
                f"Those that can be set: {', '.join(names) or 'none'}."
            )


class Override(ast.NodeTransformer):
    """Gives top-level assignments other values.

    Parameters
    ----------
    values : mapping of str to object
        Literals, by name.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def visit_Module(self, node: ast.Module) -> ast.Module:
        """Replace the values of assignments; nothing else is looked at."""
        body: list[ast.stmt] = []
        for statement in node.body:
            body.extend(self._replaced(statement))
        node.body = body
        return ast.fix_missing_locations(node)

    def _replaced(self, statement: ast.stmt) -> Iterator[ast.stmt]:
        targets = list(_targets(statement))
        whole = [t.id for t in targets if isinstance(t, ast.Name) and t.id in self._values]
        if len(targets) == 1 and whole and isinstance(statement, ast.Assign | ast.AnnAssign):
            statement.value = self._literal(whole[0], statement)
            yield statement
            return
        yield statement
        for name in dict.fromkeys(n for t in targets for n in _names(t) if n in self._values):
            target = ast.copy_location(ast.Name(name, ast.Store()), statement)
            assignment = ast.Assign([target], self._literal(name, statement))
            yield ast.copy_location(assignment, statement)

    def _literal(self, name: str, place: ast.stmt) -> ast.expr:
        value = ast.parse(repr(self._values[name]), mode="eval").body
        for node in ast.walk(value):
            ast.copy_location(node, place)
        return value


def _targets(statement: ast.stmt) -> list[ast.expr]:
    if isinstance(statement, ast.Assign):
        return statement.targets
    if isinstance(statement, ast.AnnAssign) and statement.value is not None:
        return [statement.target]
    return []


def _names(target: ast.expr) -> Iterator[str]:
    for node in ast.walk(target):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
