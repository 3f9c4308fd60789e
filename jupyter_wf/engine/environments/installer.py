"""Calls uv, which resolves and installs packages, with the settings of uv and of pip.

uv reads its own configuration and variables, offline mode included. It does not read pip's, in
which most sites name their index, so it is told what that says.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from jupyter_wf.errors import PackageError

#: Characters of the installer's words that an error repeats: the last, which tell the cause.
WORDS = 4000
TRUE = frozenset({"1", "true", "yes", "on"})

Say = Callable[[str], None]


def program() -> str:
    """Return the path of uv; raise `PackageError` if it is not installed."""
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise PackageError(
            f"Environments are built by uv, which is not installed with {sys.executable}. "
            f"Run: pip install uv."
        )
    return found


def uv(
    arguments: Sequence[str],
    what: str,
    *,
    say: Say = lambda _: None,
    given: str = "",
    index: bool = True,
) -> str:
    """Run uv; return what it prints.

    Parameters
    ----------
    arguments : sequence of str
    what : str
        What an error says did not work, as in "... could not be installed".
    say : callable
        Takes each line of uv's messages, as it comes.
    given : str
        Text for its standard input.
    index : bool
        Whether it looks for packages, and so must know where.

    Raises
    ------
    PackageError
        uv failed; carries its words.
    """
    pip = pip_options() if index else {}
    # There is no variable for this one.
    no_index = ["--no-index"] if pip.get("no-index", "").lower() in TRUE else []
    with (
        tempfile.TemporaryFile("w+", errors="replace") as printed,
        subprocess.Popen(
            [program(), "--no-progress", "--color", "never", *arguments, *no_index],
            stdin=subprocess.PIPE,
            stdout=printed,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env={**os.environ, **uv_variables(pip)},
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stderr is not None
        words = []
        try:
            process.stdin.write(given)
            process.stdin.close()
            for line in process.stderr:
                words.append(line)
                say(line.rstrip("\n"))
        except BaseException:
            process.kill()
            raise
        process.wait()
        printed.seek(0)
        found = printed.read()
    if process.returncode:
        said = "".join(words).strip()[-WORDS:] or f"uv ended with status {process.returncode}."
        raise PackageError(f"{what}. uv says:\n{said}")
    return found


def pip_options() -> dict[str, str]:
    """Return pip's options for installing: its files', overridden by the variables'."""
    if find_spec("pip") is not None:
        command = [sys.executable, "-m", "pip"]
    else:
        command = ["pip"] if shutil.which("pip") else []
    if not command:
        return {}
    done = subprocess.run(
        [*command, "config", "list"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    found: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in done.stdout.splitlines():
        name, _, value = line.partition("=")
        section, _, option = name.rpartition(".")
        if section in found:
            found[section][option] = str(ast.literal_eval(value))
    return found["global"] | found["install"] | found[":env:"]


def uv_variables(pip: dict[str, str]) -> dict[str, str]:
    """Say in uv's variables what `pip_options` says; what the user set for uv stands.

    Examples
    --------
    >>> uv_variables({"index-url": "https://packages.invalid/simple"})["UV_DEFAULT_INDEX"]
    'https://packages.invalid/simple'
    """
    said = {
        "UV_DEFAULT_INDEX": pip.get("index-url"),
        "UV_INDEX": " ".join(pip.get("extra-index-url", "").split()),
        "UV_FIND_LINKS": ",".join(pip.get("find-links", "").split()),
        "UV_INSECURE_HOST": " ".join(pip.get("trusted-host", "").split()),
        "UV_HTTP_TIMEOUT": pip.get("timeout") or pip.get("default-timeout"),
        # pip takes the best version of all indexes, uv by itself that of the first.
        "UV_INDEX_STRATEGY": "unsafe-best-match" if "extra-index-url" in pip else None,
        "SSL_CERT_FILE": pip.get("cert"),
    }
    return {name: value for name, value in said.items() if value and name not in os.environ}
