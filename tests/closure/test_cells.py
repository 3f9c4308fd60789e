from __future__ import annotations

import pickle

import pytest

from jupyter_wf.closure import cell_code
from jupyter_wf.graph import Code
from tests.closure.cells import TRIALS, notebook


def cell(body: str, source: str = TRIALS, *names: str) -> Code:
    space = notebook(source)
    definitions = {name: space[name] for name in names or ("helper",)}
    return cell_code(body, definitions, label="fit", filename="<fit>", first_line=2)


def test_a_cell_counts_by_its_body_and_what_that_uses() -> None:
    first = cell("y = helper(X)")
    assert cell("# comment\ny = (helper(X))").fingerprint == first.fingerprint
    assert {part for part, _ in first.parts} >= {"body", "function helper", "constant BETA"}
    assert cell("y = helper(Z)").fingerprint != first.fingerprint
    changed = cell("y = helper(X)", TRIALS.replace("BETA = 2", "BETA = 3"))
    assert {part for part, _ in set(changed.parts) ^ set(first.parts)} == {"constant BETA"}
    assert pickle.loads(first.payload)["helper"](1)[0] == 1
    assert (first.source, first.filename, first.first_line) == ("y = helper(X)", "<fit>", 2)


def test_a_cell_counts_the_packages_it_imports_or_uses() -> None:
    source = "import numpy as np"
    parts = dict(cell("from sklearn import svm\ny = np.sin(X)", source, "np").parts)
    assert {"package numpy", "package scikit-learn"} <= set(parts)


def test_a_cell_that_is_not_python_is_refused_at_its_line() -> None:
    with pytest.raises(SyntaxError) as caught:
        cell("x = 1\nfor = 2")
    assert caught.value.lineno == 2
