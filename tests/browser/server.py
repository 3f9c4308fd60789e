"""One JupyterLab server of its own: fresh directories, a free port, a token, and a certain end."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import psutil

FIRST_PORT = 18300
QUIET = {
    "@jupyterlab/apputils-extension:notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
    },
}


def free_port(first: int = FIRST_PORT) -> int:
    """Return the first port from `first` on that nobody listens to on loopback."""
    for port in range(first, first + 500):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"No free port between {first} and {first + 500}.")


@dataclass
class LabServer:
    """A running server; `root` is the folder it serves."""

    url: str
    token: str
    root: Path
    log: Path
    process: subprocess.Popen[bytes]

    @classmethod
    def start(cls, home: Path, timeout: float = 60) -> LabServer:
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
        port, token = free_port(), secrets.token_hex(16)
        command = [
            *(sys.executable, "-m", "jupyterlab", "--no-browser"),
            *(f"--ServerApp.port={port}", "--ServerApp.port_retries=0"),
            *("--ServerApp.ip=127.0.0.1", f"--ServerApp.root_dir={root}"),
            *(f"--IdentityProvider.token={token}", "--LabApp.expose_app_in_browser=True"),
            *(["--allow-root"] if os.name == "posix" and os.geteuid() == 0 else []),
        ]
        with log.open("wb") as out:
            process = subprocess.Popen(
                command, env=_environment(home), cwd=home, stdout=out, stderr=out, stdin=-3
            )
        server = cls(f"http://127.0.0.1:{port}", token, root, log, process)
        try:
            server._wait(timeout)
        except BaseException:
            server.stop()
            raise
        return server

    def _wait(self, timeout: float) -> None:
        request = urllib.request.Request(
            f"{self.url}/api/status", headers={"Authorization": f"token {self.token}"}
        )
        end = time.monotonic() + timeout
        while time.monotonic() < end and self.process.poll() is None:
            try:
                with urllib.request.urlopen(request, timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        tail = self.log.read_text(errors="replace")[-3000:]
        raise RuntimeError(f"JupyterLab did not answer at {self.url}.\n{tail}")

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
