"""Walks from a function or a cell to everything that it uses, and says what that is, part by part.

What is written in the notebook (the *home* modules) is followed definition by definition. Any other
module is taken as a whole; see `packages`.
"""

from __future__ import annotations

import ast
import builtins
import sys
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import FunctionType, ModuleType
from typing import Any, TypeAlias

from jupyter_wf.closure import classes, constants, packages
from jupyter_wf.closure.notes import MISSING, Notes, content_of
from jupyter_wf.closure.sources import (
    Chains,
    chains,
    global_names,
    source_of,
    without_our_decorators,
)
from jupyter_wf.errors import FingerprintError
from jupyter_wf.fingerprint import digest, normalise

Writer: TypeAlias = Callable[["Walker", Any, str, str], str]
_OBVIOUS = ("constant", "callable", "function", "class")


class Walker(Notes):
    """Collects the parts of one fingerprint.

    Parameters
    ----------
    home : iterable of str
        Modules, besides ``__main__``, whose definitions are followed one by one.

    Attributes
    ----------
    local : set of str
        Names of the local modules met.
    active : set of int
        Identities of the values that are being written out.
    mutable : list of (object, str, str, str)
        (value, name, user, token) of what may change in place.
    """

    def __init__(self, home: Iterable[str] = ()) -> None:
        super().__init__()
        self.home = frozenset({"__main__", *home})
        self.local: set[str] = set()
        self.active: set[int] = set()
        self.mutable: list[tuple[object, str, str, str]] = []
        self._watched = False
        self._todo: deque[tuple[str, Callable[[], str]]] = deque()
        self._modules: dict[str, str] = {}

    def unchanged(self) -> bool:
        """Whether everything that was walked is still the same."""
        return self.same_objects() and self._same_values()

    def _same_values(self) -> bool:
        """Whether lists, arrays and other values that can change in place are still the same."""
        self._watched = True
        try:
            return all(self.token(v, name, user) == token for v, name, user, token in self.mutable)
        except FingerprintError:
            return False
        finally:
            self._watched = False

    def later(self, label: str, write: Callable[[], str]) -> None:
        """Put off walking a definition, so that no chain of them is too long."""
        self._todo.append((label, write))

    def finish(self) -> dict[str, str]:
        """Walk what was put off; return the parts."""
        while self._todo:
            label, write = self._todo.popleft()
            self.parts[label] = write()
        return self.parts

    # -- what a name stands for ----------------------------------------------------------------

    def token(self, value: object, name: str, user: str) -> str:
        """Say what a value is, in text that is equal for equal values only; adds parts on the way.

        `name` and `user` are what messages call the value, and what uses it.
        """
        found = self.definition(value, name, user)
        return constants.token(self, value, name, user) if found is None else f"<{found!r}>"

    def definition(self, value: object, name: str, user: str) -> str | None:
        """Label of a module, function or class; None for anything else."""
        if isinstance(value, ModuleType):
            return self.module(value.__name__, value, user, name)
        if isinstance(value, FunctionType):
            return self.label_of(value) or self.function(value, name, user)
        if isinstance(value, type):
            return self.label_of(value) or classes.label(self, value, name, user)
        return None

    def watch(self, value: object, name: str, user: str, write: Writer) -> str:
        """Say what a value is that may change in place, and remember to look at it again."""
        watched, self._watched = self._watched, True
        try:
            token = write(self, value, name, user)
        finally:
            self._watched = watched
        if not watched:
            self.mutable.append((value, name, user, token))
        return token

    def bind(self, name: str, value: object, user: str, label: str = "") -> str:
        """Say what `name` stands for, as far as the name of the part does not say it already."""
        self.captures.append((user, name, value))
        found = self.definition(value, name, user)
        if found is None:
            kind = "callable" if callable(value) else "constant"
            token = constants.token(self, value, name, user)
            found = self.add(label or f"{kind} {name}", digest(token))
        obvious = found in (label, *(f"{kind} {name}" for kind in _OBVIOUS))
        return "" if obvious else f"{name}={found}"

    # -- functions -----------------------------------------------------------------------------

    def is_home(self, module: str | None) -> bool:
        """Whether definitions of a module are followed: it is home, or can't be imported."""
        return not module or module in self.home or module not in sys.modules

    def is_home_function(self, function: FunctionType) -> bool:
        """Whether a function is followed; so is one made in a namespace that is no module."""
        space = function.__globals__
        module = space.get("__name__")
        return self.is_home(module) or vars(sys.modules[str(module)]) is not space

    def function(self, function: FunctionType, name: str, user: str) -> str:
        """Label of a function."""
        if not self.is_home_function(function):
            return self.foreign(function, name, user) or self.made(function, name, user)
        own = function.__code__.co_name
        shown = name if own == "<lambda>" else own
        label = self.reserve(function, f"function {shown}")
        self.later(label, partial(self.code, function, f"Function {shown!r}"))
        return label

    def code(self, function: FunctionType, user: str) -> str:
        """Hash of a function that is followed: its tree, and what its names stand for."""
        source = source_of(function)
        if source is None:
            raise FingerprintError(
                f"{user} has no source text that could be found (made by exec, or one of several "
                f"lambdas that look the same). Define it with def, in a cell or a file."
            )
        node = without_our_decorators(source.node, function.__globals__)
        names = global_names(function.__code__)
        bound = self.outside(function, user)
        bound += self.names(function.__globals__, names, chains(node, names), user)
        self.imports(node, user)
        return digest("function", normalise(node), *sorted(filter(None, bound)))

    def outside(self, function: FunctionType, user: str) -> list[str]:
        """Bind what a function brings along: default values and captured variables."""
        code = function.__code__
        self.bodies.append((function, code, function.__defaults__, function.__kwdefaults__))
        plain = function.__defaults__ or ()
        arguments = code.co_varnames[: code.co_argcount]
        defaults = dict(zip(arguments[len(arguments) - len(plain) :], plain, strict=True))
        defaults |= function.__kwdefaults__ or {}
        bound = [
            self.bind(name, value, user, f"default {name} of {code.co_name}")
            for name, value in defaults.items()
        ]
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            value = content_of(cell)
            self.cells.append((cell, value))
            if value is not MISSING:
                bound.append(self.bind(name, value, user))
        return bound

    def names(
        self, space: Mapping[str, object], names: Iterable[str], used: Chains, user: str
    ) -> list[str]:
        """Bind names of a module; one that is not there may be defined later, or never read."""
        bound = []
        for name in names:
            value = space.get(name, MISSING)
            self.reads.append((space, name, value))
            if isinstance(value, ModuleType):
                bound.append(self.bind(name, value, user))
                for path in sorted(used[name]):
                    self.chain(value, path, user)
            elif value is not MISSING and value is not vars(builtins).get(name, MISSING):
                bound.append(self.bind(name, value, user))
        return bound

    def chain(self, module: ModuleType, path: tuple[str, ...], user: str) -> None:
        """Follow ``module.a.b`` as far as it leads through modules."""
        for name in path:
            space = vars(module)
            value = space.get(name, MISSING)
            self.reads.append((space, name, value))
            if not isinstance(value, ModuleType):
                return
            self.module(value.__name__, value, user, name)
            module = value

    # -- other modules -------------------------------------------------------------------------

    def module(self, name: str, value: ModuleType | None, user: str, shown: str) -> str:
        """Label of a module; adds the part that stands for its content."""
        if name in self._modules:
            return self._modules[name]
        origin = packages.origin(name)
        if origin.kind == "absent" and value is not None and name not in self.home:
            raise FingerprintError(
                f"{user} uses {shown!r}, a module without a file, so what it does can't be told. "
                f"Write it to a file, or define its functions in the notebook."
            )
        label = f"{origin.kind} {origin.name}"
        if origin.kind == "package":
            label = self.add(label, origin.version)
        elif origin.kind == "absent" and "." not in name and name not in self.home:
            label = self.add(f"package {name}", "not installed")
        self._modules[name] = label
        if origin.kind == "local":
            label = self._modules[name] = f"module {name}"
            self.local.add(name)
            above = name.rpartition(".")[0]
            try:
                content = packages.content(origin)
            except (OSError, SyntaxError, ValueError) as error:
                raise FingerprintError(
                    f"{user} uses the module {name!r}, which can't be read: {error}."
                ) from error
            if packages.edited(name, content.digest):
                # The task would run what is loaded, and be kept as what the file says.
                raise FingerprintError(
                    f"{user} uses the module {name!r}, whose file was edited after its import. "
                    f"Run importlib.reload({name}), or restart the kernel."
                )
            self.add(label, content.digest)
            for other in (above, *content.imports) if above else content.imports:
                self.module(other, None, user, other)
        return label

    def imports(self, tree: ast.AST, user: str) -> None:
        """Add the modules that code imports by itself."""
        for name in packages.imported(tree):
            self.module(name, None, user, name)

    def foreign(self, value: Any, name: str, user: str) -> str | None:
        """Label of something that can be imported by its name; None if it can't."""
        qualname = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
        space = getattr(value, "__globals__", {})
        for module in (getattr(value, "__module__", None), space.get("__name__")):
            found: Any = sys.modules.get(module) if isinstance(module, str) else None
            for step in str(qualname).split("."):
                found = getattr(found, step, None)
            if found is value and not self.is_home(module):
                return f"{self.module(str(module), None, user, name)}:{module}.{qualname}"
        return None

    def made(self, function: FunctionType, name: str, user: str) -> str:
        """Label of a function that a module's code made: what made it, and what it was given."""
        module, own = str(function.__globals__["__name__"]), function.__code__.co_qualname
        label = self.reserve(function, f"function {own} of {module}")
        source = self.module(module, None, user, name)
        try:
            given = self.outside(function, f"Function {own!r}")
        except FingerprintError as error:
            raise FingerprintError(
                f"{user} uses {name!r}, which {module} made of something that has no stable "
                f"identity: {error}"
            ) from error
        self.parts[label] = digest("made", source, *sorted(filter(None, given)))
        return label
