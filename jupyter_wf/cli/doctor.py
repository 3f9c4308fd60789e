"""``jupyter wf doctor``: what is installed, what is missing, and the remedy."""

from __future__ import annotations

import platform
import shutil
import socket
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, entry_points, requires, version
from pathlib import Path
from typing import Any, Literal

from jupyter_wf.errors import PackageError

State = Literal["ok", "missing", "optional"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Parameters
    ----------
    name : str
    state : {"ok", "missing", "optional"}
        Missing things keep the package from working, optional ones do not.
    found : str
        What is there.
    remedy : str
        What to do if it is not.
    """

    name: str
    state: State
    found: str
    remedy: str = ""


def examine() -> list[Check]:
    """Look at this environment."""
    return [
        Check("Python", "ok", f"{platform.python_version()} at {sys.executable}"),
        *packages(requires("jupyter_wf") or ()),
        _command(),
        *_jupyter(),
        _loopback(),
        _folder(Path.cwd()),
        _environments(),
        _gpu(),
    ]


def packages(wanted: Iterable[str]) -> Iterator[Check]:
    """Look at required packages, and at those of extras, which are optional."""
    from packaging.requirements import Requirement

    seen: set[str] = set()
    for needed in map(Requirement, wanted):
        if needed.name in seen:
            continue
        seen.add(needed.name)
        optional = needed.marker is not None and not needed.marker.evaluate({"extra": ""})
        lacking: State = "optional" if optional else "missing"
        remedy = f"pip install '{needed.name}{needed.specifier}'"
        try:
            found = version(needed.name)
        except PackageNotFoundError:
            yield Check(needed.name, lacking, "not installed", remedy)
            continue
        if needed.specifier.contains(found, prereleases=True):
            yield Check(needed.name, "ok", found)
        else:
            yield Check(needed.name, lacking, f"{found}, not {needed.specifier}", remedy)


def _command() -> Check:
    beside = Path(sys.executable).with_name("jupyter-wf")
    found = shutil.which("jupyter-wf") or (str(beside) if beside.exists() else None)
    if found is None:
        return Check("jupyter wf", "missing", "no jupyter-wf program", "pip install jupyter_wf")
    return Check("jupyter wf", "ok", found)


def _jupyter() -> Iterator[Check]:
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_core.paths import jupyter_path

    kernels = KernelSpecManager().find_kernel_specs()
    if "python3" in kernels:
        yield Check("kernel", "ok", f"python3 at {kernels['python3']}")
    else:
        yield Check("kernel", "missing", "no python3 kernel", "python -m ipykernel install --user")
    folders = [Path(folder, "anywidget") for folder in jupyter_path("labextensions")]
    there = next((str(folder) for folder in folders if folder.is_dir()), None)
    if there is None:
        yield Check("cards", "missing", "no anywidget in JupyterLab", "pip install anywidget")
    else:
        yield Check("cards", "ok", there)
    views = sorted(point.name for point in entry_points(group="jupyter_wf.views"))
    state: State = "ok" if views else "missing"
    yield Check("views", state, ", ".join(views) or "none", "" if views else "reinstall jupyter_wf")


def _loopback() -> Check:
    try:
        with socket.create_server(("127.0.0.1", 0)):
            return Check("loopback", "ok", "127.0.0.1 can be listened on")
    except OSError as error:
        remedy = "use --scheduler ADDRESS, or allow programs to listen on 127.0.0.1"
        return Check("loopback", "missing", str(error), remedy)


def _folder(folder: Path) -> Check:
    import os

    free = shutil.disk_usage(folder).free / 1e9
    if not os.access(folder, os.W_OK):
        remedy = "start in a folder of yours, or use --store URL"
        return Check("store", "missing", f"{folder} can't be written", remedy)
    return Check("store", "ok", f"{folder} can be written, {free:.1f} GB free")


def _environments() -> Check:
    from jupyter_wf.engine.environments import kept_in, uv_program

    try:
        return Check("environments", "ok", f"{uv_program()} builds them in {kept_in()}")
    except PackageError as error:
        found, _, remedy = str(error).partition(". ")
        return Check("environments", "optional", found, f"{remedy} Tasks with --env need it.")


def _gpu() -> Check:
    found = shutil.which("nvidia-smi") or shutil.which("rocm-smi")
    if found is None:
        return Check("GPU", "optional", "none seen", "not needed; tasks with --gpu need one")
    return Check("GPU", "ok", found)


def as_text(checks: Sequence[Check]) -> str:
    """Write checks as a table for people."""
    from jupyter_wf.magics.tables import table

    rows = [(check.state, check.name, check.found, check.remedy) for check in checks]
    lacking = sum(check.state == "missing" for check in checks)
    end = f"{lacking} missing: see the last column." if lacking else "All that is needed is there."
    return f"{table([('', 'what', 'found', 'remedy'), *rows])}\n{end}"


def as_json(checks: Sequence[Check]) -> dict[str, Any]:
    """Return checks as a JSON document."""
    healthy = all(check.state != "missing" for check in checks)
    return {"ok": healthy, "checks": [asdict(check) for check in checks]}
