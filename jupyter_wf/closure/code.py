"""Makes the `Code` of a task from a function or a cell."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import FunctionType
from typing import Any

from jupyter_wf.closure.packages import origin
from jupyter_wf.closure.pickling import pickled
from jupyter_wf.closure.sources import chains, source_of
from jupyter_wf.closure.walk import Walker
from jupyter_wf.environment import Environment
from jupyter_wf.fingerprint import PYTHON, combine, digest, normalise
from jupyter_wf.graph import Code

Parts = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Carried:
    """What a worker knows of the walk that fingerprinted a function elsewhere.

    Parameters
    ----------
    home, local : set of str
        Modules whose definitions are pickled by value.
    """

    home: frozenset[str]
    local: set[str]
    captures: tuple[tuple[str, str, object], ...] = ()

    def unchanged(self) -> bool:
        """Nobody edits a function on a worker."""
        return True


class FunctionCode:
    """The `Code` of one function, made again only when something that it uses has changed.

    Parameters
    ----------
    function : callable
    label : str or None
        What people call the task; the function's name unless told.
    extra : tuple of (str, str)
        More parts of the fingerprint, such as a seed.
    environment : Environment or None
        With its lock, which is a part of the fingerprint too.

    Examples
    --------
    >>> code = FunctionCode(len)
    >>> code() is code()
    True
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        label: str | None = None,
        extra: Parts = (),
        environment: Environment | None = None,
    ) -> None:
        self.function = function
        self.label = label or str(getattr(function, "__name__", type(function).__name__))
        self.extra = extra
        self.environment = environment
        self._walked: tuple[Walker | Carried, Code] | None = None
        self._made: Code | None = None

    def __call__(self) -> Code:
        """Return the code as of now.

        Raises `FingerprintError` or `CaptureError`, which name what can't be part of a task.
        """
        walker, bare = self._identity()
        if self._made is None:
            payload = pickled(self.function, walker, f"Task {self.label!r}")
            self._made = replace(bare, payload=payload)
        return self._made

    def __getstate__(self) -> dict[str, Any]:
        """Travel with what it is, which a worker can't tell, and without what it is made of.

        The function itself travels once with all tasks that use each other.
        """
        walker, bare = self._identity()
        return {**vars(self), "_walked": (Carried(walker.home, walker.local), bare), "_made": None}

    def _identity(self) -> tuple[Walker | Carried, Code]:
        if self._walked is None or not self._walked[0].unchanged():
            self._walked, self._made = self._walk(), None
        return self._walked

    def _walk(self) -> tuple[Walker, Code]:
        function, user = self.function, f"Task {self.label!r}"
        inner = inspect.unwrap(function)
        source = source_of(inner) if isinstance(inner, FunctionType) else None
        walker = Walker(_home(inner))
        if isinstance(function, FunctionType) and walker.is_home_function(function):
            walker.reserve(function, "body")
            walker.parts["body"] = walker.code(function, user)
        else:
            walker.captures.append((user, self.label, function))
            walker.parts["body"] = digest(walker.token(function, self.label, user))
        parts = _finish(walker, self.extra, self.environment)
        code = Code(
            kind="function",
            label=self.label,
            source=source.text if source else self.label,
            fingerprint=combine(parts),
            parts=parts,
            filename=inner.__code__.co_filename if source else "<task>",
            first_line=inner.__code__.co_firstlineno if source else 1,
            environment=self.environment,
        )
        return walker, code


def function_code(
    function: Callable[..., Any], *, label: str | None = None, extra: Parts = ()
) -> Code:
    """Make the `Code` of a function; see `FunctionCode`."""
    return FunctionCode(function, label=label, extra=extra)()


def cell_code(
    source: str,
    definitions: Mapping[str, object],
    *,
    label: str,
    filename: str,
    first_line: int,
    extra: Parts = (),
    environment: Environment | None = None,
) -> Code:
    """Make the `Code` of a cell's body.

    Parameters
    ----------
    source : str
        The body.
    definitions : mapping of str to object
        The modules, functions and classes of the notebook that the body uses, by name.
    label : str
        What people call the task.
    filename, first_line : str, int
        Where the body starts.
    extra : tuple of (str, str)
        More parts of the fingerprint.
    environment : Environment or None
        With its lock, which is a part of the fingerprint too.

    Raises
    ------
    SyntaxError
        The body is not Python.
    FingerprintError, CaptureError
        A definition uses something that can't be part of a task; names it.
    """
    tree = ast.parse(source, filename)
    user = f"Task {label!r}"
    walker = Walker()
    used = chains(tree, definitions)
    bound = walker.names(definitions, sorted(definitions), used, user)
    walker.imports(tree, user)
    walker.parts["body"] = digest("cell", normalise(tree), *sorted(filter(None, bound)))
    parts = _finish(walker, extra, environment)
    return Code(
        kind="cell",
        label=label,
        source=source,
        fingerprint=combine(parts),
        parts=parts,
        payload=pickled(dict(definitions), walker, user),
        filename=filename,
        first_line=first_line,
        environment=environment,
    )


def value_digest(value: object, *, name: str = "value", user: str = "A task") -> str:
    """Hash a value that a task is given.

    These can be: constants, functions, classes, modules, `Slot`, and containers of them.

    Parameters
    ----------
    value : object
    name, user : str
        What messages call the value, and what it is given to.

    Raises
    ------
    FingerprintError
        A part of the value has no stable identity; names it.

    Examples
    --------
    >>> value_digest((1, 2)) == value_digest([1, 2])
    False
    """
    walker = Walker()
    token = walker.token(value, name, user)
    parts = walker.finish()
    return digest("value", token, combine(parts.items())) if parts else digest("value", token)


def _home(function: object) -> tuple[str, ...]:
    """Name the module whose definitions are followed because the task is written there."""
    if not isinstance(function, FunctionType):
        return ()
    module = str(function.__globals__.get("__name__", ""))
    return (module,) if origin(module).kind == "local" else ()


def _finish(walker: Walker, extra: Parts, environment: Environment | None) -> Parts:
    found = {**walker.finish(), "Python": PYTHON}
    if environment is not None:
        # Of a package that it brings, the version that is installed here says nothing.
        for label in [*found]:
            kind, _, name = label.partition(" ")
            if kind == "package" and environment.has(name):
                del found[label]
        extra += environment.parts
    return tuple(sorted(found.items())) + extra
