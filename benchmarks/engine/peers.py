"""Asks others to do the same: bare Dask here, the rest as programs in an environment of their own.

They are optional. Who can't be imported there is absent, and named in the report; they never enter
our own environment. ``uv venv FOLDER && uv pip install --python FOLDER ray parsl`` makes one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.engine import peer_program

TIMEOUT = 900


class Peers:
    """Those who are compared with.

    Parameters
    ----------
    environment : Path or None
        Of Python, in which Ray and Parsl may be; None looks where they are made by default.
    names : tuple of str
        Whom to ask.

    Attributes
    ----------
    absent : dict
        Why somebody was not asked, by name.
    """

    def __init__(
        self, environment: Path | None = None, names: tuple[str, ...] = tuple(peer_program.PEERS)
    ) -> None:
        self.absent: dict[str, str] = {}
        self._environment = environment or home()
        self._names = names

    def ask(self, part: str, **sizes: Any) -> dict[str, Any]:
        """Return what a part gave, by the names of those who could be asked."""
        found = {}
        for name in self._names:
            if name in self.absent:
                continue
            python = sys.executable
            if name in ("ray", "parsl"):
                python = str(self._environment / "bin" / "python")
                if not Path(python).exists():
                    self.absent[name] = f"there is no {python}"
                    continue
            answer = self._run(python, name, part, sizes)
            if isinstance(answer, str):
                self.absent[name] = answer
            else:
                found[name] = answer
        return found

    def _run(self, python: str, name: str, part: str, sizes: dict[str, Any]) -> Any:
        # With -P the modules beside the program do not stand before those it imports.
        command = [python, "-P", str(peer_program.__file__), name, part, json.dumps(sizes)]
        extra = {"PATH": f"{Path(python).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
        if python == sys.executable:
            extra["PYTHONPATH"] = os.pathsep.join(sys.path)
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=TIMEOUT,
                check=False,
                env={**os.environ, **extra},
            )
        except subprocess.TimeoutExpired:
            return f"{part} took more than {TIMEOUT} s"
        answers = [line for line in done.stdout.splitlines() if line.startswith(peer_program.MARK)]
        if not answers:
            return (done.stderr.strip() or done.stdout.strip() or "no word").splitlines()[-1][:200]
        return json.loads(answers[-1].removeprefix(peer_program.MARK))


def home() -> Path:
    """Return where the environment of the peers is unless told otherwise."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "jupyter_wf" / "benchmark-peers"
