"""What a task wants around it: packages, environment variables, a Python.

An environment is part of what a task is. What it asks for may mean other packages tomorrow than
today, so its identity is its *lock*: the exact version of every package. `engine.environments`
finds it out, once, and builds what it says.
"""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from blake3 import blake3

from jupyter_wf.errors import CaptureError

KEYS = ("pip", "env", "python")
HERE = platform.python_version()
_VERSION = re.compile(r"\d+\.\d+(\.\d+)?")
#: What stands between name and version, or name and address, in a line of a lock.
_NAME = re.compile(r"(?:\[[^\]]*\])?(?:==| *@ +)")
#: Variables that say where Python finds modules, which is for the environment to say.
_OURS = frozenset({"PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV"})


@dataclass(frozen=True, slots=True)
class Environment:
    """What a task wants around it; made by `environment`.

    Parameters
    ----------
    pip : tuple of str
        Requirements, in normal form, sorted.
    env : tuple of (str, str)
        Environment variables, sorted.
    python : str or None
        Version of Python, with or without the last number; None takes that of the workers.
    lock : tuple of str
        The packages that the requirements came to, each in an exact version; empty until asked.
    """

    pip: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    python: str | None = None
    lock: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[tuple[str, str], ...]:
        """What a fingerprint is to cover of it, as (description, text); of variables, a hash."""
        found: dict[str, str] = {}
        for line in self.lock:
            name, version = _NAME.split(line, maxsplit=1)
            label = f"environment {name}"
            found[label] = f"{found[label]}, {version}" if label in found else version
        for name, value in self.env:
            found[f"variable {name}"] = variable_digest(value)
        if self.python not in (None, _minor(HERE)):
            found["environment Python"] = str(self.python)
        return tuple(found.items())

    @property
    def packages(self) -> str:
        """What tells apart what must be installed for them, 40 hexadecimal digits."""
        return blake3(json.dumps([self.lock, self.python]).encode()).hexdigest(length=20)

    def has(self, package: str) -> bool:
        """Whether it brings a package, in place of the worker's."""
        from packaging.utils import canonicalize_name

        name = canonicalize_name(package)
        return any(_NAME.split(line, maxsplit=1)[0] == name for line in self.lock)

    @property
    def builds(self) -> bool:
        """Whether anything must be built: packages, or another Python than the usual one."""
        return bool(self.pip) or self.python not in (None, _minor(HERE), HERE)


def environment(asked: Mapping[str, Any] | Environment | None) -> Environment | None:
    """Check what was asked for and return it in normal form; None if that is nothing.

    Parameters
    ----------
    asked : mapping or Environment or None
        ``pip``: a list of requirements; ``env``: variables by name; ``python``: a version.

    Raises
    ------
    CaptureError
        Something of it can't be had; says what, and what can.

    Examples
    --------
    >>> environment({"pip": ["Foo_Bar[x] >= 1", "emoji"], "env": {"OMP_NUM_THREADS": 1}}).pip
    ('emoji', 'foo-bar[x]>=1')
    """
    if asked is None or isinstance(asked, Environment):
        return asked
    if not isinstance(asked, Mapping):
        raise CaptureError(
            f"environment= must be a dict such as {{'pip': ['jax']}}, not {asked!r:.80}."
        )
    for key in asked:
        if key not in KEYS:
            close = get_close_matches(str(key), KEYS, n=1)
            meant = f"; did you mean {close[0]!r}?" if close else "."
            raise CaptureError(f"environment= knows {', '.join(KEYS)}, but not {key!r}{meant}")
    made = Environment(
        requirements(asked.get("pip") or ()),
        _variables(asked.get("env") or {}),
        _python(asked.get("python")),
    )
    return made if made != Environment() else None


def variable_digest(value: str) -> str:
    """Return what tells of the value of a variable, which may be secret, whether it is the same."""
    return blake3(value.encode()).hexdigest(length=20)


def requirements(asked: Iterable[str]) -> tuple[str, ...]:
    """Return requirements in normal form, sorted, each once; raise `CaptureError` for others."""
    if isinstance(asked, str) or not all(isinstance(one, str) for one in asked):
        raise CaptureError(
            f"environment['pip'] must be a list of requirements, as in ['jax'], not {asked!r:.80}."
        )
    return tuple(sorted({_requirement(one) for one in asked}))


def _requirement(text: str) -> str:
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    try:
        found = Requirement(text)
    except InvalidRequirement as error:
        if text.lstrip().startswith("-"):
            remedy = "Options such as an index belong into the configuration of pip or uv"
        else:
            remedy = "Write NAME, NAME==VERSION, or NAME @ file:///path/to/a.whl"
        reason = str(error).splitlines()[0].rstrip(".")
        raise CaptureError(f"{text!r} is not a requirement: {reason}. {remedy}.") from None
    found.name = canonicalize_name(found.name)
    if found.name in ("cloudpickle", "jupyter-wf"):
        raise CaptureError(
            f"{text!r} can't be part of an environment: tasks travel by it, so it must be that of "
            f"the workers. Leave it out."
        )
    return str(found)


def _variables(asked: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(asked, Mapping):
        raise CaptureError(f"environment['env'] must be a dict of variables, not {asked!r:.80}.")
    found: dict[str, str] = {}
    for name, value in asked.items():
        if not isinstance(name, str) or not name or set(name) & {"=", "\0"}:
            raise CaptureError(f"{name!r} can't name an environment variable.")
        if name in _OURS:
            raise CaptureError(
                f"The variable {name} decides where Python finds modules, which is the "
                f"environment's to say. Name packages under 'pip' instead."
            )
        if type(value) not in (str, int, float) or "\0" in str(value):
            raise CaptureError(
                f"The variable {name} must be text or a number, not {value!r:.80}. "
                f"Write it as it should appear to the program."
            )
        found[name] = str(value)
    return tuple(sorted(found.items()))


def _python(asked: Any) -> str | None:
    if asked is None:
        return None
    if not isinstance(asked, str) or _VERSION.fullmatch(asked) is None:
        raise CaptureError(
            f"environment['python'] must be a version as text, such as {_minor(HERE)!r}, "
            f"not {asked!r:.80}."
        )
    if _minor(asked) != _minor(HERE):
        raise CaptureError(
            f"environment['python'] is {asked}, but this is Python {HERE}, and a task's compiled "
            f"code and its values can't pass from one to the other. Start the kernel and the "
            f"workers with Python {_minor(asked)}, or leave 'python' out."
        )
    return asked


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])
