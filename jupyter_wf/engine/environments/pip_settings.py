"""What pip's configuration says, in uv's variables: ``python pip_settings.py`` prints them as JSON.

uv does not read pip's configuration, in which most sites name their index, so it is told. This file
needs the standard library only, as `scripts.install` runs it before anything is installed.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec


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


if __name__ == "__main__":
    sys.stdout.write(json.dumps(uv_variables(pip_options())))
