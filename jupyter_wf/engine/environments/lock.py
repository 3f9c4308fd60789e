"""What the requirements of an environment mean: exact versions, found out once and remembered.

The lock is for every platform and for this minor version of Python, so that a kernel on one kind of
machine can lock what workers on another will install.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from jupyter_wf.engine.environments.folder import alone, folder, write
from jupyter_wf.engine.environments.installer import uv
from jupyter_wf.environment import Environment
from jupyter_wf.errors import PackageError
from jupyter_wf.fingerprint import PYTHON, digest


def locked(environment: Environment) -> Environment:
    """Return the environment with its lock.

    The first time on this host, the package index is asked; the answer is kept in the cache, in a
    file that can be deleted to ask anew.

    Raises
    ------
    PackageError
        The requirements can't be resolved; carries the installer's words.
    """
    if environment.lock or not environment.pip:
        return environment
    wanted = tuple([_with_hash(one) for one in environment.pip])
    return replace(environment, lock=_lock(wanted))


def _lock(wanted: tuple[str, ...]) -> tuple[str, ...]:
    place = folder("locks") / f"{digest('lock', PYTHON, *wanted)}.txt"
    if not place.exists():
        with alone(place.with_suffix(".lock")):
            if not place.exists():
                found = _resolve(wanted)
                asked = "".join(f"# {one}\n" for one in wanted)
                write(place, asked + "".join(f"{line}\n" for line in found))
    return tuple(line for line in place.read_text().splitlines() if not line.startswith("#"))


def _resolve(wanted: tuple[str, ...]) -> list[str]:
    command = ["pip", "compile", "-", "--universal", "--python-version", PYTHON]
    command += ["--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]
    shown = ", ".join(wanted)
    printed = uv(command, f"No set of packages meets {shown}", given="\n".join(wanted) + "\n")
    lines = [line.strip() for line in printed.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def _with_hash(requirement: str) -> str:
    """Add to a requirement that names a file the hash of its content, which uv verifies."""
    name, at, url = requirement.partition("@ ")
    if not at or not url.startswith("file:") or "#" in url:
        return requirement
    bare, semicolon, marker = url.partition(" ;")
    path = Path(unquote(urlsplit(bare).path))
    try:
        content = path.read_bytes()
    except IsADirectoryError:
        raise PackageError(
            f"The requirement {requirement!r} is a folder, which may change while tasks use it. "
            f"Build a wheel of it and name that."
        ) from None
    except OSError as error:
        raise PackageError(f"The file of {requirement!r} can't be read: {error}.") from error
    return f"{name}{at}{bare}#sha256={hashlib.sha256(content).hexdigest()}{semicolon}{marker}"
