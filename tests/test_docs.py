from __future__ import annotations

import importlib
import inspect
import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest
from IPython.core.inputtransformer2 import TransformerManager
from programs import run

import jupyter_wf as wf
from jupyter_wf import status
from jupyter_wf.cli.main import parser as command_line
from jupyter_wf.engine import parking
from jupyter_wf.engine.abc import Engine
from jupyter_wf.engine.runner import LiveEngine
from jupyter_wf.engine.signals import Stimulus
from jupyter_wf.engine.store import zarr
from jupyter_wf.magics import options, verbs
from jupyter_wf.pymonik import Pymonik

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAME = re.compile(r"`(\w+)`")
CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
MAGIC = re.compile(r"(?P<magic>%wf|%%task|jupyter wf)(?:\s+(?P<verb>[a-z]+))?(?=\s|$)")
OPTION = re.compile(r"(?<!\S)--[a-z-]+")
PARSERS: dict[str, Any] = {
    "%wf": verbs.parser,
    "%%task": options.parser,
    "jupyter wf": command_line,
}
CALL = re.compile(r"@?(?P<root>\w+)(?P<path>(?:\.\w+)*)(?P<rest>.*)")
KEYWORD = re.compile(r"(?<![\w\"])([a-z_]+)=(?!=)")
ROOTS: dict[str, Any] = {
    "wf": wf,
    "flow": wf.Workflow,
    "Run": wf.Run,
    "DaskEngine": wf.DaskEngine,
    "Pymonik": Pymonik,
}
#: `jupyter_wf.task` is the decorator.
task = importlib.import_module("jupyter_wf.task")
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)(?:#[^)\s]*)?\)")

RUN_CELLS = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
import jupyter_wf
shell = InteractiveShell.instance()
shell.push({"wf": jupyter_wf})
for cell in json.load(sys.stdin):
    shell.run_cell(cell).raise_error()
jupyter_wf.current().close()
"""


def blocks(page: Path, language: str) -> list[str]:
    return [text for found, text in BLOCK.findall(page.read_text("utf-8")) if found == language]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    links = LINK.findall(page.read_text("utf-8"))
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_python_is_python(page: Path) -> None:
    for block in blocks(page, "python"):
        compile(TransformerManager().transform_cell(block), str(page), "exec")


def test_the_page_on_engines_names_all_that_one_does_and_tells() -> None:
    text = (ROOT / "docs" / "engines.md").read_text("utf-8")
    methods = re.findall(r"^\| `(_\w+)` \|", text, re.MULTILINE)
    assert {*methods} == LiveEngine.__abstractmethods__ - Engine.__abstractmethods__
    told = {
        name
        for row in re.findall(r"^\| `[A-Z].*?\|", text, re.MULTILINE)
        for name in NAME.findall(row)
    }
    assert told == {kind.__name__ for kind in get_args(Stimulus)} - {
        *("Submit", "Cancel", "Forget", "Tick")  # which `LiveEngine` tells itself
    }


def test_commands_are_there() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    text = "\n".join(page.read_text("utf-8") for page in PAGES)
    shown = set(re.findall(r"(?:`|^)make ([a-z]+)", text, re.MULTILINE))
    assert {"lab", "test", "check", "bench"} <= shown <= targets


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_and_magics_are_understood(page: Path) -> None:
    text = page.read_text("utf-8")
    for line in [*CODE.findall(text), *"\n".join(blocks(page, "sh")).split("\n")]:
        found = MAGIC.match(line)
        if found is None:
            continue
        parser = PARSERS[found["magic"]]()
        if found["verb"] and found["magic"] != "%%task":
            (choices,) = [a.choices for a in parser._actions if isinstance(a.choices, dict)]
            assert found["verb"] in choices, line
            parser = choices[found["verb"]]
        assert {*OPTION.findall(line)} <= parser._option_string_actions.keys(), line


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_the_interface_is_as_it_is_told(page: Path) -> None:
    for line in CODE.findall(page.read_text("utf-8")):
        found = CALL.match(line)
        if found is None or found["root"] not in ROOTS:
            continue
        what = ROOTS[found["root"]]
        for part in filter(None, found["path"].split(".")):
            what = getattr(what, part)
        if found["rest"].startswith("("):
            told = {*KEYWORD.findall(found["rest"])}
            assert told <= {*inspect.signature(what).parameters}, line


def test_limits_are_as_they_are_told() -> None:
    rows = (ROOT / "docs" / "dynamic-graphs.md").read_text("utf-8").partition("## Limits")[2]
    told = dict(re.findall(r"^\| (.+?) \| (\d[\d,]*)(?: kB.*)? \|$", rows, re.MULTILINE))
    assert {what: int(number.replace(",", "")) for what, number in told.items()} == {
        "bodies that wait in a worker process": parking.MOST,
        "largest array copied into a call": task.LARGE // 1000,
        "ended children that `status` remembers": status.KEEP,
    }


def test_the_page_on_the_store_tells_of_all_that_a_journal_holds() -> None:
    text = (ROOT / "docs" / "store.md").read_text("utf-8")
    told = re.findall(r'^\| `\["(\w)"', text, re.MULTILINE)
    assert {*told} == {*re.findall(r'case \("(\w)"', inspect.getsource(zarr))}


def test_every_page_is_linked_from_the_first() -> None:
    links = LINK.findall((ROOT / "README.md").read_text("utf-8"))
    assert {*(ROOT / "docs").glob("*.md")} <= {(ROOT / link).resolve() for link in links}


@pytest.mark.slow
def test_the_first_workflow_of_the_readme_runs(tmp_path: Path) -> None:
    cells = [b for b in blocks(ROOT / "README.md", "python") if not b.startswith("import")]
    assert sum(cell.startswith("%%task") for cell in cells) == 4
    printed = run(tmp_path, "python", "-c", RUN_CELLS, stdin=json.dumps(cells))
    found = re.search(r"accuracy (\d\.\d+)", printed)
    assert found
    assert 0.85 < float(found.group(1)) < 1
    assert "fib(90) is 2880067194370816120\n" in printed


@pytest.mark.slow
def test_the_example_of_tasks_that_add_tasks_runs(tmp_path: Path) -> None:
    (script,) = blocks(ROOT / "docs" / "dynamic-graphs.md", "python")
    path = tmp_path / "add.py"
    path.write_text(script, "utf-8")
    assert run(tmp_path, "python", path) == "10\n"


@pytest.mark.slow
def test_its_twin_in_plain_python_runs(tmp_path: Path) -> None:
    (script,) = [b for b in blocks(ROOT / "README.md", "python") if b.startswith("import")]
    path = tmp_path / "twin.py"
    path.write_text(script, "utf-8")
    first = run(tmp_path, "python", path)
    assert re.fullmatch(r"\[[\d. ]+\]\n", first)
    assert run(tmp_path, "python", path) == first


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_that_are_named_exist(page: Path) -> None:
    named = set(re.findall(r"`((?:[\w.-]+/)*[a-z_]+\.py)`", page.read_text("utf-8")))
    files = [f"/{file.relative_to(ROOT)}" for file in ROOT.glob("[a-z]*/**/*.py")]
    assert not {name for name in named if not any(file.endswith(f"/{name}") for file in files)}
