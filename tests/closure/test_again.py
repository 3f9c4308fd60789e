from __future__ import annotations

import copy
import linecache

import pytest

from jupyter_wf.closure import FunctionCode, function_code
from tests.closure.cells import BASE, COUNT, TRIALS, notebook


@pytest.mark.parametrize(
    "edit",
    [
        "ALPHA = 4",
        "ITEMS[1]['a'] = 0",
        "def low(n):\n    return 0",
        "Model.limit = 11",
        "model.a = 6",
        "TABLE['square'] = cube",
        "even.__code__ = odd.__code__",
        "Config.scaled = lambda self: 1",
        "array[0] = 7",
        "later = 3",
    ],
)
def test_code_is_made_again_only_when_what_it_uses_has_changed(edit: str) -> None:
    names = "low, ITEMS, Model, model, TABLE, even, Config, fib, array, later"
    source = f"{BASE}\nimport numpy as np\narray = np.arange(3)\ndef task():\n    return {names}"
    space = notebook(source)
    code = FunctionCode(space["task"])
    first = code()
    assert code() is first
    filename = f"<edit {next(COUNT)}>"
    linecache.cache[filename] = (len(edit), None, edit.splitlines(keepends=True), filename)
    exec(compile(edit, filename, "exec"), space)
    second = code()
    assert second.fingerprint != first.fingerprint
    assert second.fingerprint == function_code(space["task"]).fingerprint
    assert code() is second


def test_what_is_not_used_does_not_make_code_anew() -> None:
    space = notebook(TRIALS)
    code = FunctionCode(space["task"])
    first = code()
    space["UNUSED"] = space["new"] = 2
    assert code() is first


def test_a_class_is_the_same_after_its_instances_were_copied_or_pickled() -> None:
    space = notebook(
        f"{BASE}\nclass Plain:\n    pass\ndef task():\n    return Plain, Config, Model"
    )
    first = function_code(space["task"]).fingerprint
    for value in (space["Plain"](), space["config"], space["model"]):
        copy.copy(value)
    assert "__slotnames__" in vars(space["Plain"])
    assert function_code(space["task"]).fingerprint == first
