"""Create ``.venv`` and install the package into it: ``python3 -m scripts.install [EXTRA]…``.

The versions are those of ``constraints.txt``, and packages come from where pip is told to look.
uv is fetched first, because it installs in seconds what takes pip a minute. Should it fail all the
same, pip does the work.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
CONSTRAINTS = "constraints.txt"
SETTINGS = "jupyter_wf/engine/environments/pip_settings.py"
OLDEST = (3, 11)


def main(extras: list[str]) -> int:
    """Install the package, editable, with `extras`; return an exit status."""
    if sys.version_info < OLDEST:
        here = ".".join(map(str, sys.version_info[:3]))
        print(f"jupyter_wf needs Python 3.11 or newer, and this is {here} ({sys.executable}).")
        print("Name another one: make PYTHON=python3.12 …")
        return 1
    make_environment()
    target = f".[{','.join(extras)}]" if extras else "."
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pip += ["--constraint", CONSTRAINTS]
    run([*pip, "uv"])
    uv = [str(PYTHON), "-m", "uv", "pip", "install", "--python", str(PYTHON), "--quiet"]
    uv += ["--constraint", CONSTRAINTS, "--build-constraint", CONSTRAINTS, "--editable", target]
    # Compiled once here, not in every worker process where Python may not write beside packages.
    uv += ["--compile-bytecode"]
    print(f"Installing jupyter_wf into {VENV.name}; the first time takes a minute.", flush=True)
    try:
        run(uv, uv_environment())
    except subprocess.CalledProcessError:
        print("uv could not install it; trying pip, which takes longer.", flush=True)
        run([*pip, "--editable", target])
    return 0


def make_environment() -> None:
    """Create the virtual environment, unless there is one whose Python runs."""
    try:
        run([str(PYTHON), "-m", "pip", "--version"], quiet=True)
    except (OSError, subprocess.CalledProcessError):
        print(f"Creating {VENV.name}", flush=True)
        run([sys.executable, "-m", "venv", "--clear", str(VENV)])


def uv_environment() -> dict[str, str]:
    """Return the variables that uv is to be given; what the user set for uv stands."""
    found: dict[str, str] = json.loads(run([str(PYTHON), "-P", SETTINGS], quiet=True))
    # The cache may lie on another disk than the environment; copying is then no news.
    if not same_disk(Path.home(), ROOT):
        found.setdefault("UV_LINK_MODE", os.environ.get("UV_LINK_MODE", "copy"))
    return found


def same_disk(one: Path, other: Path) -> bool:
    """Whether a file can be linked from one folder into the other."""
    try:
        return one.stat().st_dev == other.stat().st_dev
    except OSError:
        return False


def run(command: list[str], extra: dict[str, str] | None = None, *, quiet: bool = False) -> str:
    """Run a command at the root of the repository; return what it printed, if `quiet`."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **(extra or {})},
        check=True,
        text=True,
        stdout=subprocess.PIPE if quiet else None,
        stderr=subprocess.DEVNULL if quiet else None,
    )
    return done.stdout or ""


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except subprocess.CalledProcessError as failed:
        sys.exit(f"This failed: {' '.join(map(str, failed.cmd))}")
