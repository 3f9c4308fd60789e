"""Make sure of a browser for the tests and print its path: ``python3 -m scripts.browser``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "microsoft-edge",
)
REMEDY = """\
The browser tests need Chromium or Google Chrome, and neither is on the PATH. Install one, as with
`sudo apt-get install chromium` or `brew install --cask chromium`, and run `make test` again. One
that is elsewhere can be named: CHROMIUM=/path/to/chrome make test."""


def find() -> str | None:
    """Return the path of a browser: the one named by ``CHROMIUM``, or the first there is."""
    chosen = os.environ.get("CHROMIUM")
    return (
        shutil.which(chosen)
        if chosen
        else next((path for name in NAMES if (path := shutil.which(name))), None)
    )


def install() -> None:
    """Install Chromium through apt, where that exists and we may; say what happens on stderr."""
    if os.name != "posix" or os.geteuid() != 0 or not shutil.which("apt-get"):
        return
    print("Installing Chromium for the browser tests", file=sys.stderr, flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"],
    ):
        subprocess.run(
            command, check=False, env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr
        )


def main() -> int:
    """Find or install a browser; return an exit status."""
    if not find():
        install()
    path = find()
    print(path or REMEDY, file=sys.stdout if path else sys.stderr)
    return 0 if path else 1


if __name__ == "__main__":
    sys.exit(main())
