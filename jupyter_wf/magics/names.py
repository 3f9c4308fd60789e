"""Which names a cell's body reads from outside and which it makes, from its syntax alone.

The rules:

* a name is *read* if it is used at a point where the body can't have bound it yet; uses inside
  functions and lambdas count, unless the body binds the name anywhere;
* a name is an *output* if it is bound at top level, except imports, definitions, ``_private``
  names, and names that only carry a loop, a ``with``, an ``except`` or a ``case``, unless the
  last binding in the text is an assignment.

This module parses only: it runs nothing and knows nothing of the notebook (see `capture`).
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Literal

from jupyter_wf.errors import CaptureError
from jupyter_wf.magics import scopes
from jupyter_wf.magics.parsing import parse

Kind = Literal["value", "carrier", "import", "definition"]


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one body, each tuple in order of first appearance.

    Parameters
    ----------
    reads : tuple of str
        Names that must come from outside.
    outputs : tuple of str
        Names the body makes for others.
    bound : frozenset of str
        Every name bound at top level.
    defined : tuple of str
        Names of functions and classes that the body defines.
    """

    reads: tuple[str, ...]
    outputs: tuple[str, ...]
    bound: frozenset[str] = field(repr=False)
    defined: tuple[str, ...] = field(default=(), repr=False)


def names(source: str, first_line: int = 1) -> Names:
    r"""Return the names that `source` reads and makes; `first_line` is its first line in the cell.

    Raises `CaptureError` for a syntax error, IPython syntax or a star import, naming the line.

    Examples
    --------
    >>> names("import math\nfor x in xs:\n    y = math.sqrt(x)")
    Names(reads=('xs',), outputs=('y',))
    """
    visitor = _Body(first_line)
    visitor.block(parse(source, first_line).body)
    reads = dict(visitor.reads)
    for name in visitor.deferred:
        if name not in visitor.kinds:
            reads.setdefault(name)
    outputs = [
        name
        for name, kinds in visitor.kinds.items()
        if kinds[-1] == "value"
        and not name.startswith("_")
        and not {"import", "definition"} & set(kinds)
    ]
    return Names(
        tuple(reads),
        tuple(outputs),
        frozenset(visitor.kinds),
        tuple(name for name, kinds in visitor.kinds.items() if kinds[-1] == "definition"),
    )


class _Body(ast.NodeVisitor):
    """Walks the top level of a body in the order in which it runs."""

    def __init__(self, first_line: int) -> None:
        self.first_line = first_line
        self.kinds: dict[str, list[Kind]] = {}
        self.reads: dict[str, None] = {}
        self.deferred: dict[str, None] = {}
        self._loops: list[frozenset[str]] = []
        self._certain = True

    # -- binding and reading -------------------------------------------------------------------

    def bind(self, name: str, kind: Kind) -> None:
        self.kinds.setdefault(name, []).append(kind)

    def read(self, name: str) -> None:
        if name in self.kinds:
            return
        if not self._certain and any(name in bound for bound in self._loops):
            return  # an earlier turn of the loop may have bound it
        self.reads.setdefault(name)

    def target(self, node: ast.expr, kind: Kind) -> None:
        if isinstance(node, ast.Name):
            self.bind(node.id, kind)
        elif isinstance(node, ast.Tuple | ast.List):
            for item in node.elts:
                self.target(item, kind)
        elif isinstance(node, ast.Starred):
            self.target(node.value, kind)
        else:
            self.visit(node)

    def block(self, body: list[ast.stmt]) -> None:
        for statement in body:
            self.visit(statement)

    def branch(self, body: list[ast.stmt]) -> None:
        """Walk statements that may not run."""
        certain, self._certain = self._certain, False
        self.block(body)
        self._certain = certain

    def loop(self, body: list[ast.stmt]) -> None:
        """Walk statements that may run again after themselves."""
        self._loops.append(frozenset(scopes.bound(body)))
        self.block(body)
        self._loops.pop()

    # -- expressions ---------------------------------------------------------------------------

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self.read(node.id)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        self.target(node.target, "value")

    def visit_Dict(self, node: ast.Dict) -> None:
        for key, value in zip(node.keys, node.values, strict=True):
            if key is not None:
                self.visit(key)
            self.visit(value)

    def _scope(self, node: ast.AST) -> None:
        """Read what a nested scope takes from here, now or when it is called."""
        inner = scopes.scope(node)
        for name in inner.now:
            self.read(name)
        for name in inner.later:
            self.deferred.setdefault(name)
        for name in inner.binds:
            self.bind(name, "value")

    visit_Lambda = visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _scope

    # -- statements ----------------------------------------------------------------------------

    def _definition(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        self._scope(node)
        self.bind(node.name, "definition")

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = _definition

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        for target in node.targets:
            self.target(target, "value")

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.visit(node.annotation)
        if node.value is not None:
            self.visit(node.value)
            self.target(node.target, "value")

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self.read(node.target.id)
        self.visit(node.value)
        self.target(node.target, "value")

    def visit_Delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            if isinstance(target, ast.Name) and target.id in self.kinds:
                if self._certain:
                    self.bind(target.id, "carrier")
            elif isinstance(target, ast.Name):
                self.read(target.id)
            else:
                self.visit(target)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.bind(alias.asname or alias.name.partition(".")[0], "import")

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            if alias.name == "*":
                line = node.lineno + self.first_line - 1
                raise CaptureError(
                    f"line {line} of this cell imports *, which hides the names the task uses. "
                    f"Import them by name, or use `import {node.module}`."
                )
            self.bind(alias.asname or alias.name, "import")

    def visit_If(self, node: ast.If) -> None:
        self.visit(node.test)
        self.branch(node.body)
        self.branch(node.orelse)

    def _for(self, node: ast.For | ast.AsyncFor) -> None:
        self.visit(node.iter)
        self.target(node.target, "carrier")
        self.loop(node.body)
        self.branch(node.orelse)

    visit_For = visit_AsyncFor = _for

    def visit_While(self, node: ast.While) -> None:
        self.visit(node.test)
        self.loop(node.body)
        self.branch(node.orelse)

    def _with(self, node: ast.With | ast.AsyncWith) -> None:
        for item in node.items:
            self.visit(item.context_expr)
            if item.optional_vars is not None:
                self.target(item.optional_vars, "carrier")
        self.block(node.body)

    visit_With = visit_AsyncWith = _with

    def _try(self, node: ast.Try | ast.TryStar) -> None:
        self.block(node.body)
        for handler in node.handlers:
            if handler.type is not None:
                self.visit(handler.type)
            if handler.name is not None:
                self.bind(handler.name, "carrier")
            self.branch(handler.body)
        self.branch(node.orelse)
        self.block(node.finalbody)

    visit_Try = visit_TryStar = _try

    def visit_Match(self, node: ast.Match) -> None:
        self.visit(node.subject)
        for case in node.cases:
            for name in scopes.captures(case.pattern):
                self.bind(name, "carrier")
            self.visit(case.pattern)
            if case.guard is not None:
                self.visit(case.guard)
            self.branch(case.body)
