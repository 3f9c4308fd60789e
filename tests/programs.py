"""Programs of this environment, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def run(folder: Path, *command: str | Path, stdin: str = "", **env: str) -> str:
    """Run a command in a folder; return what it prints, and fail with all its words if it fails.

    It sees the programs of this environment first, and nobody's settings of IPython.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": path, "IPYTHONDIR": str(folder / ".ipython"), **env},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    said = f"{[*map(str, command)]}\n{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
    assert done.returncode == 0, said
    return done.stdout
