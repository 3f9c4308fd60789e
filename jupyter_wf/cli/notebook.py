"""Executes a notebook's cells in a shell of this process, with the magics that JupyterLab has."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.interactiveshell import ExecutionResult, InteractiveShell
from traitlets.config import Config

from jupyter_wf.cli import overrides
from jupyter_wf.cli.sources import Ended, note
from jupyter_wf.errors import (
    CaptureError,
    NotComputedError,
    TaskCancelledError,
    TaskError,
    WorkflowError,
)
from jupyter_wf.magics.cells import is_task
from jupyter_wf.magics.extension import Extension

if TYPE_CHECKING:
    from jupyter_wf.cli.sources import Session

#: Tags that notebook runners have agreed on.
SKIP, MAY_FAIL = "skip-execution", "raises-exception"


@dataclass(frozen=True, slots=True)
class _Cell:
    id: str | None
    source: str
    tags: frozenset[str]


def execute(session: Session) -> Ended:
    """Execute the notebook of a session, cell by cell, up to the first that fails."""
    cells = list(_code_cells(session))
    # Figures are drawn in memory: there is no screen.
    os.environ.setdefault("MPLBACKEND", "Agg")
    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell.instance(config=config, colors="nocolor")
    # `%matplotlib inline` asks for an event loop, too, and there is none.
    shell.enable_gui = lambda *_: None
    try:
        extension = Extension.of(shell)
        extension.load()
        extension.magics.start = session.start
        if session.values:
            overrides.check(session.values, _settable(shell, cells))
            shell.ast_transformers.append(overrides.Override(session.values))
        return _run(shell, cells, session)
    finally:
        Extension.of(shell).unload()
        InteractiveShell.clear_instance()


def _run(shell: InteractiveShell, cells: list[_Cell], session: Session) -> Ended:
    skipped = 0
    for number, cell in enumerate(cells, 1):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed) if session.dry else contextlib.nullcontext():
            result = shell.run_cell(cell.source, store_history=True, cell_id=cell.id)
        error = result.error_before_exec or result.error_in_exec
        if session.dry and (skipped or isinstance(error, NotComputedError)) and error is not None:
            skipped += 1
            note(f"code cell {number} is left out: {_first_line(error)}")
            continue
        sys.stderr.write(printed.getvalue())
        if error is None or MAY_FAIL in cell.tags:
            continue
        what = f"code cell {number} failed: {type(error).__name__}: {_first_line(error)}"
        return Ended(what, _is_bad_input(result, error))
    return Ended()


def _is_bad_input(result: ExecutionResult, error: BaseException) -> bool:
    """Whether a cell can't be understood, as opposed to failing while it ran."""
    if result.error_before_exec is not None or isinstance(error, SyntaxError):
        return True
    return isinstance(error, WorkflowError) and not isinstance(
        error, TaskError | TaskCancelledError
    )


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]


def _code_cells(session: Session) -> Iterator[_Cell]:
    try:
        found = json.loads(session.source.read_text("utf-8"))
        if found["nbformat"] != 4:
            found = _upgraded(session.source)
        for cell in found["cells"]:
            tags = frozenset(cell.get("metadata", {}).get("tags", ()))
            text = "".join(cell["source"])
            if cell["cell_type"] == "code" and text.strip() and SKIP not in tags:
                yield _Cell(cell.get("id"), text, tags)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CaptureError(
            f"{session.source.name} can't be read as a notebook: {type(error).__name__}: {error}"
        ) from error


def _upgraded(source: Path) -> Any:
    # Loaded for old notebooks only: nbformat takes seconds, and format 4 is plain JSON.
    import nbformat

    return nbformat.read(source, as_version=4)


def _settable(shell: InteractiveShell, cells: list[_Cell]) -> Iterator[str]:
    for cell in cells:
        if is_task(cell.source):
            continue
        try:
            yield from overrides.assigned(ast.parse(shell.transform_cell(cell.source)))
        except SyntaxError:
            continue  # the cell will say so itself
