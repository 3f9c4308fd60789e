"""One JupyterLab server of its own: fresh directories, a free port, a token, and a certain end."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import psutil

from jupyter_wf.engine.testing import wait_until

QUIET = {
    "@jupyterlab/apputils-extension:notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
    },
}


@dataclass
class LabServer:
    """A running server; `root` is the folder it serves."""

    url: str
    token: str
    root: Path
    process: subprocess.Popen[bytes]

    @classmethod
    def start(cls, home: Path) -> LabServer:
        """Start a server whose every directory lies in `home`; wait until it answers."""
        root, log = home / "root", home / "lab.log"
        settings = home / "lab" / "user-settings"
        for folder in (root, settings, home / "runtime"):
            folder.mkdir(parents=True)
        for plugin, values in QUIET.items():
            package, _, name = plugin.partition(":")
            target = settings / package / f"{name}.jupyterlab-settings"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(json.dumps(values))
        token = secrets.token_hex(16)
        command = [
            *(sys.executable, "-m", "jupyterlab", "--no-browser"),
            # Port 0: the system chooses, so that no other server can come between.
            *("--ServerApp.port=0", "--ServerApp.ip=127.0.0.1", f"--ServerApp.root_dir={root}"),
            *(f"--IdentityProvider.token={token}", "--LabApp.expose_app_in_browser=True"),
            *(["--allow-root"] if os.name == "posix" and os.geteuid() == 0 else []),
        ]
        with log.open("wb") as out:
            process = subprocess.Popen(
                command, env=_environment(home), cwd=home, stdout=out, stderr=out, stdin=-3
            )
        try:
            url = _answering(process, home / "runtime", token)
        except BaseException as error:
            cls("", token, root, process).stop()
            raise RuntimeError(log.read_text(errors="replace")[-3000:]) from error
        return cls(url, token, root, process)

    def stop(self) -> None:
        """End the server, its kernels and all that they started."""
        family = descendants(self.process.pid)
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)
        _, alive = psutil.wait_procs(family, timeout=5)
        for survivor in alive:
            survivor.kill()
        psutil.wait_procs(alive, timeout=5)


def _answering(process: subprocess.Popen[bytes], runtime: Path, token: str) -> str:
    """Return the address of a server once it answers; it writes it to its runtime folder."""

    def address() -> str | None:
        assert process.poll() is None, f"JupyterLab ended with status {process.returncode}"
        for file in runtime.glob("jpserver-*.json"):
            try:
                url = f"http://127.0.0.1:{json.loads(file.read_text())['port']}"
                headers = {"Authorization": f"token {token}"}
                status = urllib.request.Request(f"{url}/api/status", headers=headers)
                with urllib.request.urlopen(status, timeout=5):
                    return url
            except (ValueError, OSError):
                continue  # half written, or not listening yet
        return None

    return wait_until(address, "JupyterLab answers")


def descendants(pid: int) -> list[psutil.Process]:
    """Return all living processes that descend from `pid`."""
    try:
        return list(psutil.Process(pid).children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def _environment(home: Path) -> dict[str, str]:
    """Return the environment of a first visit: nothing of the user's Jupyter is seen."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("JUPYTER", "JPY_", "IPYTHON", "PYTEST_"))
    }
    return inherited | {
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "lab" / "user-settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "lab" / "workspaces"),
        "IPYTHONDIR": str(home / "ipython"),
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""))),
    }
