from __future__ import annotations

import os
import subprocess
import sys

import pytest

from jupyter_wf.closure import function_code
from tests.closure.cells import BASE, TRIALS, code_of, differing, notebook


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        pytest.param("", "", set(), id="filename"),
        pytest.param("ALPHA =", "\n\n\nALPHA =", set(), id="moved lines"),
        pytest.param("# Work.", "# Play.", set(), id="comment"),
        pytest.param("Of use.", "Of none.", set(), id="docstring"),
        pytest.param("UNUSED", "OTHER", set(), id="unrelated variable renamed"),
        pytest.param("return UNUSED", "return 7", set(), id="unrelated function"),
        pytest.param("return [x, ", "return [x, x, ", {"function helper"}, id="helper"),
        pytest.param('"a"', '"b"', {"constant ALPHA"}, id="constant of a helper"),
        pytest.param("BETA = 2", "BETA = 2.0", {"constant BETA"}, id="type of a constant"),
        pytest.param("helper(x)\n", "helper(x) + [1]\n", {"body"}, id="body"),
    ],
)
def test_what_changes_a_fingerprint(old: str, new: str, parts: set[str]) -> None:
    # Six of these were tried on cloudpickle, dask.tokenize, joblib and bytecode: each failed some.
    assert differing(TRIALS, TRIALS.replace(old, new) if old else TRIALS) == parts


SCRIPT = """
import sys, linecache
from jupyter_wf.closure import function_code
source = sys.stdin.read()
linecache.cache["cell"] = (1, None, source.splitlines(True), "cell")
space = {"__name__": "__main__"}
exec(compile(source, "cell", "exec"), space)
print(function_code(space["task"]).fingerprint)
"""


def test_a_fingerprint_is_the_same_in_other_processes() -> None:
    found = {code_of(TRIALS).fingerprint}
    for seed in ("1", "2"):
        command = [sys.executable, "-c", SCRIPT]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        ran = subprocess.run(
            command, input=TRIALS, env=environment, capture_output=True, text=True, check=True
        )
        found.add(ran.stdout.strip())
    assert len(found) == 1


def using(expression: str) -> str:
    return f"{BASE}\ndef task(x):\n    return {expression}\n"


@pytest.mark.parametrize(
    ("expression", "old", "new", "parts"),
    [
        ("low(x)", "ALPHA * n", "ALPHA + n", {"function low"}),
        ("[low(y) for y in x]", "ALPHA * n", "ALPHA + n", {"function low"}),
        ("(lambda y: low(y))(x)", "ALPHA = 3", "ALPHA = 4", {"constant ALPHA"}),
        ("ITEMS", "(2, 3)", "(2, 4)", {"constant ITEMS"}),
        ("Config()", "0.5", "0.6", {"class Config"}),
        ("Config()", "float = 0.5", "int = 0.5", {"class Config"}),
        ("Config()", "low(self.rate)", "low(self.rate + 1)", {"class Config"}),
        ("Config()", "ALPHA = 3", "ALPHA = 4", {"constant ALPHA"}),
        (
            "Config()",
            "@dataclasses.dataclass",
            "@dataclasses.dataclass(eq=False)",
            {"class Config"},
        ),
        ("config", "Config()", "Config(0.7)", {"constant config"}),
        ("Pair", "b: int = 2", "b: int = 3", {"class Pair"}),
        ("pair", "Pair(1)", "Pair(2)", {"constant pair"}),
        ("Colour.RED", "BLUE = 2", "BLUE = 3", {"class Colour"}),
        ("Model", "limit = 10", "limit = 11", {"class Model"}),
        ("Model", "cls(1)", "cls(2)", {"class Model"}),
        ("Model", "low(self.a)", "low(self.a) + 1", {"class Model"}),
        ("Model", "x > 0", "x > 1", {"class Model"}),
        ("Child", "x > 0", "x > 1", {"class Model"}),
        ("Child", "super().__init__(7)", "super().__init__(8)", {"class Child"}),
        ("model", "Model(5)", "Model(6)", {"constant model"}),
        ("decorated(x)", "return low(x)", "return low(x) + 1", {"function decorated"}),
        ("decorated(x)", "function(*given), 1", "function(*given), 2", {"function inner"}),
        ("fib(x)", "n < 2", "n < 3", {"function fib"}),
        ("opened()", "low(1)", "low(2)", {"function opened"}),
        ("even(x)", "n != 0", "n != 1", {"function odd"}),
        ("add(x)", "adder(1)", "adder(2)", {"constant n"}),
        ("square(x)", "x ** 2", "x ** 4", {"function square"}),
        ("cube(x)", "x ** 3", "x ** 4", {"function cube"}),
        ("square(x)", "x ** 3", "x ** 4", set()),
        ("part()", "n=4", "n=5", {"callable part"}),
        ("TABLE[x]", '"square": square', '"square": cube', {"function TABLE['square']"}),
        ("TABLE[x]", "ALPHA * n", "ALPHA + n", {"function low"}),
        ("later(x)", "ALPHA = 3", "later = 1\nALPHA = 3", {"constant later"}),
        ("low.ALPHA", "ALPHA = 3", "ALPHA = 4", {"constant ALPHA"}),
        ("x.ALPHA", "ALPHA = 3", "ALPHA = 4", set()),
        ("[ALPHA for ALPHA in x]", "ALPHA = 3", "ALPHA = 4", set()),
    ],
)
def test_what_a_task_uses_is_followed(expression: str, old: str, new: str, parts: set[str]) -> None:
    assert BASE.count(old)
    before = using(expression)
    assert differing(before, using(expression).replace(old, new, 1)) == parts


def test_defaults_and_captured_variables_are_parts() -> None:
    made = "def make(n):\n    def task(x=n, *, y=(n,)):\n        return n\n    return task\n"
    changed = differing(f"{made}task = make(1)", f"{made}task = make(2)")
    assert changed == {"constant n", "default x of task", "default y of task"}


def test_two_things_of_one_name_are_told_apart() -> None:
    source = (
        "def make(n):\n    return lambda: n\na, b = make(1), make(2)\ndef task():\n    return a, b"
    )
    swapped = source.replace("a, b = ", "b, a = ")
    assert differing(source, swapped)
    assert differing(source, source.replace("make(2)", "make(3)"))


def test_the_code_holds_the_users_own_lines() -> None:
    source = "@staticmethod\ndef task(x):\n    return x  # here\n"
    space = notebook(source.replace("@staticmethod\n", ""), filename="<mine>", first_line=5)
    code = function_code(space["task"], label="Mine", extra=(("seed", "3"),))
    assert (code.filename, code.first_line, code.label) == ("<mine>", 5, "Mine")
    assert code.source == "def task(x):\n    return x  # here\n"
    assert ("seed", "3") in code.parts
    assert code.fingerprint != function_code(space["task"]).fingerprint


def test_our_own_decorator_is_left_out_and_others_are_kept() -> None:
    plain = "import jupyter_wf as wf\nimport functools\nalpha = 1\n"
    body = "def task(x):\n    return x\n"
    bare = code_of(plain + body)
    for decorator in ("@wf.task", "@wf.task(cpus=2, retries=1)", "@wf.task(cpus=3)"):
        wrapped = notebook(f"{plain}{decorator}\n{body}")["task"].__wrapped__
        assert function_code(wrapped).parts == bare.parts
    app = "class app:\n    task = staticmethod(lambda f: f)\n@app.task\n"
    assert code_of(plain + app + body).fingerprint != bare.fingerprint


def test_another_task_counts_by_its_function() -> None:
    source = "import jupyter_wf as wf\n@wf.task(cpus=1)\ndef other():\n    return 1\n"
    source += "def task():\n    return other"
    assert differing(source, source.replace("cpus=1", "cpus=2")) == set()
    assert differing(source, source.replace("return 1", "return 2")) == {"function other"}


def test_a_long_chain_of_helpers_has_a_fingerprint() -> None:
    cell = "".join(f"def f{i}(x): return f{i + 1}(x)\n" for i in range(120))
    cell += "def f120(x): return x\ndef task(): return f0(1)\n"
    assert differing(cell, cell.replace("f120(x): return x", "f120(x): return -x")) == {
        "function f120"
    }
