"""Every notebook runs, in a folder of its own, and is saved as it should be."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
from programs import run

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
LIMIT = 200_000

notebooks = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def nbval(folder: Path, name: str) -> str:
    """Run a notebook with nbval, with none of this project's settings."""
    (folder / "pytest.ini").write_text("[pytest]\n")
    options = ("-q", "-p", "no:cacheprovider", "--nbval-lax", "--nbval-cell-timeout=240")
    return run(folder, "python", "-m", "pytest", *options, name)


def headless(folder: Path, name: str) -> dict[str, Any]:
    """Run a notebook from the command line."""
    result: dict[str, Any] = json.loads(run(folder, "jupyter-wf", "run", name, "--json"))
    return result


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@notebooks
def test_saved_as_it_should_be(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.encode()) < LIMIT
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code), "executed"
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1)), "in order"
    assert not [out for cell in code for out in cell.outputs if out.output_type == "error"]
    assert all(re.fullmatch(r"[a-z][a-z0-9-]*", cell.id) for cell in notebook.cells), "ids of ours"
    assert "<script" not in text.lower()
    assert not re.search(r"/(home|root|tmp|work|Users)/", text), "a path of somebody's machine"


@notebooks
@pytest.mark.slow
def test_outputs_are_as_saved_and_the_command_line_finds_the_same(
    path: Path, tmp_path: Path
) -> None:
    shutil.copyfile(path, tmp_path / path.name)
    nbval(tmp_path, path.name)
    # What Jupyter computed, the command line finds: the keys are the same.
    tasks = headless(tmp_path, path.name)["tasks"]
    assert tasks
    assert {task["state"] for task in tasks.values()} == {"cached"}
    # And a notebook that finds everything stored shows the same as one that computed it.
    nbval(tmp_path, path.name)


@notebooks
@pytest.mark.slow
def test_headless_computes_once(path: Path, tmp_path: Path) -> None:
    shutil.copyfile(path, tmp_path / path.name)
    first = headless(tmp_path, path.name)
    assert first["state"] == "stored"
    assert {task["state"] for task in first["tasks"].values()} == {"stored"}
    second = headless(tmp_path, path.name)
    assert {task["state"] for task in second["tasks"].values()} == {"cached"}
    outputs = [{name: t["outputs"] for name, t in r["tasks"].items()} for r in (first, second)]
    assert outputs[0] == outputs[1]
    assert all(outputs[0].values())
