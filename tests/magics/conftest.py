from __future__ import annotations

import atexit
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import ExecutionResult, InteractiveShell
from traitlets.config import Config

import jupyter_wf as wf
from jupyter_wf.magics.extension import Extension

#: Runs a cell, given its text and its id.
Cell = Callable[..., ExecutionResult]


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    """A shell of its own with the extension loaded, in an empty folder."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.chdir(tmp_path)
    config = Config()
    config.HistoryManager.enabled = False
    InteractiveShell.clear_instance()
    made = InteractiveShell.instance(config=config, colors="nocolor")
    made.run_line_magic("load_ext", "jupyter_wf")
    yield made
    Extension.of(made).unload()
    made.restore_sys_module_state()
    # Each shell would collect all garbage when the interpreter ends.
    atexit.unregister(made.atexit_operations)
    InteractiveShell.clear_instance()


@pytest.fixture
def flow() -> Iterator[wf.Workflow]:
    with wf.Workflow(wf.LocalEngine(), "memory://") as made:
        yield made


@pytest.fixture
def cards(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the tasks whose cards were shown, instead of the cards."""
    shown: list[str] = []

    def show(_: Any, task: str) -> None:
        shown.append(task)

    monkeypatch.setattr("jupyter_wf.magics.magics._show_card", show)
    return shown


@pytest.fixture
def cell(shell: InteractiveShell, flow: wf.Workflow, cards: list[str]) -> Cell:
    """Run a cell of a notebook whose workflow is `flow`."""

    def run(text: str, cell_id: str | None = None) -> ExecutionResult:
        return shell.run_cell(text, store_history=True, cell_id=cell_id)

    return run
