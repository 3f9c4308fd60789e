from __future__ import annotations

import ast
import os
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from scripts import browser, install

ROOT = Path(__file__).parents[1]
PIN = re.compile(r"^([a-z0-9][a-z0-9.-]*)==([\w.+!]+)( ; [^/:@]+)?$")


def _pins() -> set[str]:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = [PIN.match(line) for line in lines]
    assert all(pins), [line for line, pin in zip(lines, pins, strict=True) if not pin]
    return {pin.group(1) for pin in pins if pin}


def _name(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement)[0].lower().replace("_", "-")


def _imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(str(node.module))
    return {name.partition(".")[0] for name in found}


def test_everything_imported_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    needed = (*project["dependencies"], *extras["gpu"], *extras["values"])
    declared = {_name(requirement) for requirement in needed}
    # Suites to subclass are for those who test with pytest.
    files = [
        path
        for path in (ROOT / "jupyter_wf").rglob("*.py")
        if "testing" not in (path.stem, path.parent.name)
    ]
    modules = set().union(*map(_imported, files)) - sys.stdlib_module_names - {"jupyter_wf"}
    providers = {"pynvml": ["nvidia-ml-py"], **packages_distributions()}
    missing = {
        module
        for module in modules
        if not {_name(found) for found in providers.get(module, [module])} & declared
    }
    assert not missing


def test_everything_needed_is_pinned_and_nothing_names_a_host() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    extras = project["project"]["optional-dependencies"].values()
    wanted = [
        *project["project"]["dependencies"],
        *project["build-system"]["requires"],
        *(requirement for extra in extras for requirement in extra),
    ]
    assert {_name(requirement) for requirement in wanted} - {"jupyter-wf"} <= _pins()
    assert "uv" in _pins()


def test_uv_is_told_what_pip_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("UV_DEFAULT_INDEX", "UV_LINK_MODE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", "https://a.invalid/s")
    monkeypatch.setattr(install, "PYTHON", Path(sys.executable))
    monkeypatch.setattr(install, "same_disk", lambda one, other: False)
    found = install.uv_environment()
    assert found["UV_DEFAULT_INDEX"] == "https://a.invalid/s"
    assert found["UV_LINK_MODE"] == "copy"
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://mine.invalid/simple")
    monkeypatch.setenv("UV_LINK_MODE", "symlink")
    found = {**os.environ, **install.uv_environment()}
    assert found["UV_DEFAULT_INDEX"] == "https://mine.invalid/simple"
    assert found["UV_LINK_MODE"] == "symlink"


def test_what_is_run_before_anything_is_installed_needs_nothing() -> None:
    files = [*(ROOT / "scripts").glob("*.py"), ROOT / install.SETTINGS]
    for path in files:
        assert _imported(path) <= {*sys.stdlib_module_names, "__future__"}, path


def test_a_browser_is_found_on_the_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "google-chrome"
    program.write_text("#!/bin/sh\n", "utf-8")
    program.chmod(0o755)
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert browser.main() == 0
    assert capsys.readouterr().out == f"{program}\n"


def test_without_a_browser_the_remedy_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert browser.main() == 1
    assert "chromium" in capsys.readouterr().err
