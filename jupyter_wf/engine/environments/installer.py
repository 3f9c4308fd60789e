"""Calls uv, which resolves and installs packages, with the settings of uv and of pip.

uv reads its own configuration and variables, offline mode included; `pip_settings` tells it pip's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from jupyter_wf.engine.environments.pip_settings import pip_options, uv_variables
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
