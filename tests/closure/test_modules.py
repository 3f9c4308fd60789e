from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Callable

import pytest

from jupyter_wf.closure import function_code, packages
from jupyter_wf.errors import FingerprintError
from tests.closure.cells import code_of, differing, notebook

USES = [
    "import wf_local_a\ndef task():\n    return wf_local_a.f()",
    "import wf_local_a as other\ndef task():\n    return other.f()",
    "from wf_local_a import f\ndef task():\n    return f()",
    "from wf_local_a import f\ndef task():\n    return map(f, [])",
    "def task():\n    import wf_local_a\n    return wf_local_a.f()",
    "def task():\n    from wf_local_a import f\n    return f()",
]


@pytest.mark.parametrize("source", USES)
def test_a_local_module_counts_by_its_code_and_that_of_what_it_imports(
    source: str, module: Callable[[str, str], None]
) -> None:
    def fingerprint() -> str:
        return code_of(source).fingerprint

    module("wf_local_b", "B = 1")
    module("wf_local_a", "import wf_local_b\ndef f():\n    return wf_local_b.B")
    first = fingerprint()
    module(
        "wf_local_a", "import wf_local_b  # more\ndef f():\n    '''Doc.'''\n    return wf_local_b.B"
    )
    assert fingerprint() == first
    module("wf_local_b", "B = 2")
    second = fingerprint()
    assert second != first
    module("wf_local_a", "import wf_local_b\ndef f():\n    return -wf_local_b.B")
    assert fingerprint() not in (first, second)
    module("wf_local_b", "B = 1")
    module("wf_local_a", "import wf_local_b\ndef f():\n    return wf_local_b.B")
    assert fingerprint() == first


def test_a_module_that_was_edited_must_be_reloaded(module: Callable[[str, str], None]) -> None:
    module("wf_local_a", "def f():\n    return 1")
    space = notebook(USES[0])
    first = function_code(space["task"])
    loaded = sys.modules["wf_local_a"]
    module("wf_local_a", "def f():\n    return 2")
    sys.modules["wf_local_a"] = loaded
    with pytest.raises(FingerprintError, match=r"'wf_local_a', whose file was edited.*reload"):
        function_code(space["task"])
    importlib.reload(loaded)
    assert function_code(space["task"]).fingerprint != first.fingerprint


def test_only_the_submodules_in_use_count(module: Callable[[str, str], None]) -> None:
    source = "import wf_local.one, wf_local.two\ndef task():\n    return wf_local.one.f()"
    module("wf_local.__init__", "from . import shared")
    module("wf_local.shared", "S = 1")
    module("wf_local.one", "def f():\n    return 1")
    module("wf_local.two", "def f():\n    return 2")
    parts = dict(code_of(source).parts)
    assert {part for part in parts if part.startswith("module")} == {
        "module wf_local",
        "module wf_local.one",
        "module wf_local.shared",
    }


def test_packages_count_by_version() -> None:
    source = """
        import json, math
        import numpy as np
        from numpy.linalg import norm
        from yaml import SafeLoader
        def task(x):
            import sklearn.svm
            return np.linalg.svd(x), norm(x), SafeLoader(x), json.dumps(x), math.sin(x), len(x)
        """
    parts = dict(code_of(source).parts)
    found = {part: version for part, version in parts.items() if part.startswith("package")}
    assert set(found) == {"package numpy", "package scikit-learn", "package PyYAML"}
    import numpy as np

    assert found["package numpy"] == np.__version__


def test_another_version_is_another_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    source = "import numpy as np\ndef task(x):\n    return np.sin(x)"
    before = code_of(source)
    other = packages.Origin("package", "numpy", "1.0")
    monkeypatch.setattr(packages, "origin", lambda name: other)
    assert set(before.parts) ^ set(code_of(source).parts) >= {("package numpy", "1.0")}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("json", "stdlib"),
        ("os.path", "stdlib"),
        ("sys", "stdlib"),
        ("numpy.linalg", "package"),
        ("jupyter_wf.graph", "package"),
        ("no_such_module_anywhere", "absent"),
    ],
)
def test_origins_of_modules(name: str, kind: str) -> None:
    assert packages.origin(name).kind == kind


@pytest.mark.parametrize(
    ("source", "package", "names"),
    [
        ("import a.b, c as d", "", ("a.b", "c")),
        ("from a import b as c", "", ("a", "a.b")),
        ("from a import *", "", ("a",)),
        ("from . import b", "p.q", ("p.q", "p.q.b")),
        ("from ..r import b", "p.q", ("p.r", "p.r.b")),
        ("def f():\n    if x:\n        import a", "", ("a",)),
    ],
)
def test_imports_are_read_from_code(source: str, package: str, names: tuple[str, ...]) -> None:
    assert packages.imported(ast.parse(source), package) == names


@pytest.mark.slow
def test_compiled_functions_count_by_what_they_were_made_of() -> None:
    source = "import jax\nK = 2.0\n@jax.jit\ndef f(x):\n    return x * K\n"
    source += "g = jax.vmap(jax.grad(f))\ndef task(x):\n    return f(x), g(x)"
    assert differing(source, source.replace("x * K", "x + K")) == {"function f"}
    assert differing(source, source.replace("K = 2.0", "K = 3.0")) == {"constant K"}
    assert "package jax" in dict(code_of(source).parts)
