"""The command line: in this process with the local engine, and as a program with a real cluster."""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from programs import run
from traitlets.config import Config

import jupyter_wf as wf
from jupyter_wf.cli import main, overrides
from jupyter_wf.cli.doctor import packages
from jupyter_wf.errors import CaptureError

CELLS = {
    "setup": "%load_ext jupyter_wf\nimport os\nn = 4\nscale, shift = 2, 1",
    "note": "print('a plain cell'); os.write(1, b'straight to the descriptor\\n');",
    "load": "%%task load\nprint('a task')\nX = [i * scale + shift for i in range(n)]",
    "total": "# the sum\n%%task\ntotal = sum(X)",
    "most": "%%task\nmost = max(X)",
    "both": "%%task\nboth = {'total': total, 'most': most}",
    "show": "both.get()",
}
VALUES = {"total": 16, "most": 7}

#: Runs the command line: the exit code, what is on stdout and what on stderr.
Command = Callable[..., tuple[int, str, str]]


def notebook(folder: Path, cells: dict[str, str], name: str = "flow.ipynb") -> str:
    made = nbformat.v4.new_notebook()
    for cell_id, source in cells.items():
        cell = nbformat.v4.new_code_cell(source)
        cell.id = cell_id
        made.cells.append(cell)
    nbformat.write(made, folder / name)
    return name


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Command]:
    """Run the command line in this process, in an empty folder, with the local engine."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("jupyter_wf.cli.sources._engine_maker", lambda *_: wf.LocalEngine)
    InteractiveShell.clear_instance()
    before = sys.modules["__main__"], sys.displayhook, sys.excepthook

    def run(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main(arguments)
        sys.modules["__main__"], sys.displayhook, sys.excepthook = before
        return code, *capfd.readouterr()

    yield run
    InteractiveShell.clear_instance()


def states(found: dict[str, Any]) -> dict[str, str]:
    return {name: task["state"] for name, task in found["tasks"].items()}


def test_a_second_run_is_all_cached(command: Command, tmp_path: Path) -> None:
    name = notebook(tmp_path, CELLS)
    code, out, err = command("run", name, "--json")
    first = json.loads(out)
    assert code == 0, err
    assert set(first) == {"run", "state", "seconds", "tasks"}
    assert first["state"] == "stored"
    assert states(first) == dict.fromkeys(["load", "most", "total", "both"], "stored")
    for task in first["tasks"].values():
        assert set(task) == {"state", "seconds", "why", "outputs"}
        assert task["why"] == "never computed"
    assert set(first["tasks"]["both"]["outputs"]) == {"both"}
    assert "a plain cell" in err
    assert "straight to the descriptor" in err

    code, out, _ = command("run", name, "--json")
    second = json.loads(out)
    assert code == 0
    assert set(states(second).values()) == {"cached"}
    outputs = [{n: t["outputs"] for n, t in r["tasks"].items()} for r in (first, second)]
    assert outputs[0] == outputs[1]
    assert (tmp_path / ".jupyter_wf").is_dir()


def test_keys_are_those_of_the_notebook(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command("run", notebook(tmp_path, CELLS))[0] == 0
    monkeypatch.setattr("jupyter_wf.magics.magics._show_card", lambda *_: None)
    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell.instance(config=config, colors="nocolor")
    with wf.Workflow(wf.LocalEngine(), tmp_path / ".jupyter_wf") as flow:
        for cell_id, source in CELLS.items():
            shell.run_cell(source, cell_id=cell_id).raise_error()
        assert flow.plan().to_run == ()
        assert shell.user_ns["both"].get() == VALUES
        assert not flow.engine.executions()
    shell.run_line_magic("unload_ext", "jupyter_wf")


def test_instances_of_the_notebook_s_classes_are_the_same_after_a_restart(
    command: Command, tmp_path: Path
) -> None:
    cells = {
        "a": "%load_ext jupyter_wf\nimport enum\nfrom dataclasses import dataclass\nsize = 3",
        "b": "class Grid:\n    def __init__(self, size):\n        self.size = size",
        "c": "@dataclass\nclass Step:\n    h: float",
        "d": "class Mode(enum.Enum):\n    FAST = 1",
        "e": "grid, steps, mode = Grid(size), [Step(0.1)], {'m': Mode.FAST}",
        "f": "%%task\ny = grid.size * steps[0].h, mode['m'].name",
    }
    name = notebook(tmp_path, cells)
    found = [json.loads(command("run", name, "--json", *more)[1]) for more in ((), ())]
    assert [states(one)["y"] for one in found] == ["stored", "cached"]
    changed = json.loads(command("run", name, "--json", "--set", "size=4")[1])
    assert states(changed)["y"] == "stored"


def test_set_force_and_target(command: Command, tmp_path: Path) -> None:
    name = notebook(tmp_path, {k: v for k, v in CELLS.items() if k != "show"})
    command("run", name)
    found = json.loads(command("run", name, "--json", "--set", "shift=5")[1])
    assert set(states(found).values()) == {"stored"}
    assert "input shift changed" in found["tasks"]["load"]["why"]
    found = json.loads(command("run", name, "--json", "--force", "most")[1])
    assert states(found) == {
        "load": "cached",
        "total": "cached",
        "most": "stored",
        "both": "cached",
    }
    assert found["tasks"]["most"]["why"] == "forced"
    command_line = ("run", name, "--json", "--set", "n=9", "--target", "total")
    assert states(json.loads(command(*command_line)[1])) == {"load": "stored", "total": "stored"}


def test_a_failing_task(command: Command, tmp_path: Path) -> None:
    name = notebook(tmp_path, CELLS | {"most": "%%task\nimport math\nmost = X / 0", "show": "1"})
    code, out, err = command("run", name, "--json")
    found = json.loads(out)
    assert code == 1
    assert found["state"] == "error"
    assert states(found)["most"] == "error"
    assert states(found)["total"] == "stored"
    assert states(found)["both"] == "cancelled"
    assert 'File "<task most>", line 3' in err


def test_a_plain_cell_that_needs_a_failed_value(command: Command, tmp_path: Path) -> None:
    name = notebook(tmp_path, CELLS | {"most": "%%task\nmost = X / 0"})
    code, out, err = command("run", name)
    assert code == 1
    assert "code cell 7 failed" in err
    assert ": error in" in out


@pytest.mark.parametrize(
    ("cells", "arguments", "code", "says"),
    [
        ({}, ["--set", "m=1"], 2, "Those that can be set: n, scale, shift."),
        ({}, ["--set", "m"], 2, "write it as NAME=VALUE"),
        ({}, ["--target", "nothing"], 2, "no task or data named 'nothing'"),
        ({}, ["--force", "nothing"], 2, "no task or data named 'nothing'"),
        ({"most": "%%task\nmost = max(X"}, [], 2, "line 2 of this cell: SyntaxError"),
        ({"most": "%%task\nmost = max(Z)"}, [], 2, "nothing produces `Z`"),
        ({"most": "%%task fit\ntotal = 3"}, [], 2, "already produced by task 'total'"),
        ({"note": "x = = 1"}, [], 2, "SyntaxError"),
        ({"note": "1 / 0"}, [], 1, "code cell 2 failed: ZeroDivisionError"),
    ],
)
def test_bad_input(
    command: Command,
    tmp_path: Path,
    cells: dict[str, str],
    arguments: list[str],
    code: int,
    says: str,
) -> None:
    found = command("run", notebook(tmp_path, CELLS | cells), "--json", *arguments)
    assert found[0] == code
    assert says in found[2]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("absent.ipynb", None, "There is no file"),
        ("flow.wf.json", "{}", "reads .ipynb and .py sources only"),
        ("bad.ipynb", "{", "can't be read as a notebook"),
        ("bad.py", "x = = 1", "is not Python"),
    ],
)
def test_bad_sources(
    command: Command, tmp_path: Path, name: str, text: str | None, says: str
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    code, out, err = command("run", name)
    assert (code, out) == (2, "")
    assert says in err


def test_tags_that_runners_agree_on(command: Command, tmp_path: Path) -> None:
    made = nbformat.v4.new_notebook()
    for source, tag in [("1 / 0", "raises-exception"), ("2 / 0", "skip-execution"), ("3", "x")]:
        made.cells.append(nbformat.v4.new_code_cell(source, metadata={"tags": [tag]}))
    nbformat.write(made, tmp_path / "tags.ipynb")
    assert command("run", "tags.ipynb")[0] == 0


def test_figures_need_no_screen(command: Command, tmp_path: Path) -> None:
    name = notebook(tmp_path, {"inline": "%matplotlib inline\nimport matplotlib.pyplot as plt"})
    assert command("run", name)[0] == 0


def test_plan_and_graph_compute_nothing(command: Command, tmp_path: Path) -> None:
    touch = f"%%task load\nopen({str(tmp_path / 'ran')!r}, 'w').close()\nX = [n, scale, shift]"
    name = notebook(tmp_path, CELLS | {"load": touch})
    code, out, err = command("plan", name)
    assert code == 0
    assert "4 to run, 0 cached, 0 blocked" in out
    assert "code cell 7 is left out" in err
    steps = json.loads(command("plan", name, "--json", "--target", "total")[1])["tasks"]
    assert {step: found["action"] for step, found in steps.items()} == {
        "load": "run",
        "total": "run",
    }
    ElementTree.fromstring(command("graph", name)[1])
    assert "load" in command("graph", name, "--format", "mermaid")[1]
    assert command("graph", name, "--format", "dot", "-o", str(tmp_path / "g.dot"))[1] == ""
    assert "digraph" in (tmp_path / "g.dot").read_text()
    assert len(json.loads(command("graph", name, "--format", "json")[1])["tasks"]) == 4
    assert not (tmp_path / "ran").exists()


SCRIPT = """
import jupyter_wf as wf
START = 3

@wf.task
def add(a, b):
    return a + b

with wf.Workflow() as flow:
    total = add.invoke(add.invoke(START, 1), 10)
    print("total", total.get())
"""


def test_a_script(command: Command, tmp_path: Path) -> None:
    (tmp_path / "sums.py").write_text(SCRIPT)
    code, out, err = command("run", "sums.py", "--json")
    found = json.loads(out)
    assert code == 0, err
    assert list(states(found).values()) == ["stored", "stored"]
    assert "total 14" in err
    assert set(states(json.loads(command("run", "sums.py", "--json")[1])).values()) == {"cached"}
    assert "total 19" in command("run", "sums.py", "--set", "START=8")[2]
    assert "2 cached" in command("plan", "sums.py")[1]
    (tmp_path / "bad.py").write_text("1 / 0")
    assert command("run", "bad.py")[0] == 1


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("n = 1", {"n": 5}),
        ("n: int = 1", {"n": 5}),
        ("n, m = 1, 2", {"n": 5, "m": 2}),
        ("n = m = 1", {"n": 5, "m": 1}),
        ("n = 1\nk = n + 1", {"n": 5, "k": 6}),
        ("n = 1\nn = 2", {"n": 5}),
        ("m = 1", {"m": 1}),
        ("def f():\n    n = 1\n    return n\nk = f()", {"k": 1}),
    ],
)
def test_overrides(source: str, expected: dict[str, int]) -> None:
    tree = overrides.Override({"n": 5}).visit(ast.parse(source))
    space: dict[str, Any] = {}
    exec(compile(tree, "<test>", "exec"), space)
    assert {k: v for k, v in space.items() if isinstance(v, int)} == expected


def test_settings_are_literals_or_text() -> None:
    texts = ["a=1", "b=[1, {'c': None}]", "d=x y", "e='q'", "f=a=b", "g=-2.5"]
    values = {"a": 1, "b": [1, {"c": None}], "d": "x y", "e": "q", "f": "a=b", "g": -2.5}
    assert overrides.parse(texts) == values
    with pytest.raises(CaptureError):
        overrides.parse(["1=2"])


def test_doctor(command: Command) -> None:
    code, out, _ = command("doctor", "--json")
    found = json.loads(out)
    assert code == (0 if found["ok"] else 1)
    assert {"Python", "dask", "kernel", "store", "environments"} <= {
        check["name"] for check in found["checks"]
    }
    assert "what" in command("doctor")[1]


def test_doctor_names_the_remedy() -> None:
    wanted = ["numpy>=9999", "no-such-thing-x>=1", "no-such-thing-y; extra == 'z'", "ipython"]
    found = {check.name: check for check in packages(wanted)}
    assert [check.state for check in found.values()] == ["missing", "missing", "optional", "ok"]
    assert found["numpy"].remedy == "pip install 'numpy>=9999'"


@pytest.mark.parametrize(
    "arguments", [[], ["bogus"], ["run"], ["run", "a.ipynb", "--workers", "x"]]
)
def test_a_bad_command_line_is_bad_input(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("source", ["flow.ipynb", "sums.py"])
def test_as_a_program_with_a_cluster(tmp_path: Path, source: str) -> None:
    notebook(tmp_path, CELLS)
    (tmp_path / "sums.py").write_text(SCRIPT)
    options = ("--json", "--workers", "1", "--store", "kept")
    for expected in ("stored", "cached"):
        printed = run(tmp_path, "jupyter-wf", "run", source, *options)
        assert set(states(json.loads(printed)).values()) == {expected}
    assert (tmp_path / "kept").is_dir()
    assert not (tmp_path / ".jupyter_wf").exists()


def test_a_notebook_without_tasks_is_said_to_have_none(command: Command, tmp_path: Path) -> None:
    name = notebook(tmp_path, {"only": "x = 1"})
    code, out, _ = command("run", name)
    assert (code, out.partition("\n")[0]) == (0, "No tasks.")
    assert command("plan", name)[:2] == (0, "No tasks.\n")
