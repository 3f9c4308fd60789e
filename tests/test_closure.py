from __future__ import annotations

import ast
import importlib
import itertools
import linecache
import os
import pickle
import random
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_wf.closure import FunctionCode, cell_code, function_code, packages, value_digest
from jupyter_wf.errors import CaptureError, FingerprintError
from jupyter_wf.graph import Code, Slot

COUNT = itertools.count()


def notebook(source: str, filename: str = "", first_line: int = 1) -> dict[str, Any]:
    """Execute a cell as a notebook does, and return its namespace."""
    text = "\n" * (first_line - 1) + textwrap.dedent(source)
    filename = filename or f"<cell {next(COUNT)}>"
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(text, filename, "exec"), space)
    return space


def code_of(source: str, **where: Any) -> Code:
    return function_code(notebook(source, **where)["task"])


def differing(one: str, other: str) -> set[str]:
    """Names of the parts in which the tasks of two notebooks differ."""
    a, b = code_of(one), code_of(other)
    assert (a.fingerprint == b.fingerprint) == (a.parts == b.parts)
    return {part for part, _ in set(a.parts) ^ set(b.parts)}


TRIALS = '''
ALPHA = {3, "a", (1, 2)}
BETA = 2
UNUSED = 1

def helper(x):
    """Of use."""
    return [x, BETA, *sorted(map(str, ALPHA))]

def unrelated():
    return UNUSED

def task(x):
    # Work.
    return helper(x)
'''


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


BASE = """
import functools, enum, dataclasses, contextlib
from typing import NamedTuple

ALPHA = 3
ITEMS = [1, {"a": (2, 3)}]

def low(n):
    return ALPHA * n

@dataclasses.dataclass
class Config:
    rate: float = 0.5
    def scaled(self):
        return low(self.rate)

class Pair(NamedTuple):
    a: int
    b: int = 2

class Colour(enum.Enum):
    RED = 1
    BLUE = 2

class Model:
    limit = 10
    def __init__(self, a):
        self.a = a
    @property
    def double(self):
        return low(self.a)
    @classmethod
    def make(cls):
        return cls(1)
    @staticmethod
    def check(x):
        return x > 0

class Child(Model):
    def __init__(self):
        super().__init__(7)

def logged(function):
    @functools.wraps(function)
    def inner(*given):
        return function(*given), 1
    return inner

@logged
def decorated(x):
    return low(x)

@functools.lru_cache(maxsize=8)
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)

@contextlib.contextmanager
def opened():
    yield low(1)

def even(n):
    return n == 0 or odd(n - 1)

def odd(n):
    return n != 0 and even(n - 1)

def adder(n):
    return lambda x: x + n

add = adder(1)
square, cube = lambda x: x ** 2, lambda x: x ** 3
part = functools.partial(low, n=4)
config, pair, model = Config(), Pair(1), Model(5)
TABLE = {"low": low, "square": square}
"""


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


# -- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import socket\nv = socket.socket()", ["'v'", "socket.socket"]),
        ("import threading\nv = threading.Lock()", ["'v'", "lock"]),
        ("v = (i for i in [1])", ["'v'", "generator"]),
        ("import os\nv = open(os.devnull)", ["'v'", "TextIOWrapper"]),
        ("import threading\nv = {'k': [threading.Lock()]}", ["v['k'][0]", "lock"]),
        ("import threading\nclass A: pass\nv = A()\nv.lock = threading.Lock()", ["v.lock"]),
        ("v = []\nv.append(v)", ["'v", "itself"]),
        ("import types\nv = types.ModuleType('made')", ["'v'", "module without a file"]),
        ("exec('def v(): pass')", ["'v'", "source"]),
        ("import psutil\nv = psutil.Process()", ["'v'", "psutil.Process"]),
    ],
)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_what_has_no_identity_is_refused_by_name(source: str, words: list[str]) -> None:
    space = notebook(f"{source}\ndef helper():\n    return v\ndef task():\n    return helper()")
    with pytest.raises(FingerprintError) as caught:
        function_code(space["task"])
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert "exec" in source or "helper" in message, message
    close = getattr(space["v"], "close", None)
    if close:
        close()


def test_data_of_the_workflow_must_be_an_argument() -> None:
    handle = type("DataHandle", (), {"__module__": "jupyter_wf.handle"})()
    space = notebook("def task():\n    return X")
    space["X"] = handle
    with pytest.raises(FingerprintError, match=r"'X'.*argument"):
        function_code(space["task"])


def test_what_can_not_be_pickled_is_refused_by_name() -> None:
    space = notebook(
        """
        class Stubborn:
            def __reduce_ex__(self, protocol):
                if protocol > 2:
                    raise TypeError("not this one")
                return (Stubborn, ())
        v = Stubborn()
        def helper():
            return v
        def task():
            return helper()
        """
    )
    with pytest.raises(CaptureError, match=r"Function 'helper' uses 'v', a Stubborn.*not this one"):
        function_code(space["task"])


# -- payloads ------------------------------------------------------------------------------------

RUN = "import pickle, sys; print(pickle.load(sys.stdin.buffer)(3))"


def run_elsewhere(payload: bytes, folder: Path) -> str:
    """Call a pickled function in a process that has none of our files."""
    ran = subprocess.run(
        [sys.executable, "-c", RUN], input=payload, capture_output=True, cwd=folder, check=True
    )
    return ran.stdout.decode().strip()


@pytest.mark.slow
def test_a_payload_runs_in_a_process_without_the_users_files(
    tmp_path: Path, module: Callable[[str, str], None]
) -> None:
    module("wf_local_a", "from wf_local_b import twice\ndef thrice(x):\n    return twice(x) + x")
    module("wf_local_b", "def twice(x):\n    return 2 * x")
    source = BASE.replace("import functools", "import wf_local_a\nimport functools")
    source += "from wf_local_b import twice\n"
    source += "def task(x):\n    return wf_local_a.thrice(x), twice(x), fib(x), Child().double"
    assert run_elsewhere(code_of(source).payload, tmp_path) == "(9, 6, 2, 21)"


def test_caches_and_cached_properties_are_pickled() -> None:
    space = notebook(
        """
        import functools
        @functools.cache
        def fib(n):
            return n if n < 2 else fib(n - 1) + fib(n - 2)
        class Box:
            @functools.cached_property
            def value(self):
                return fib(30)
        def task():
            return Box().value
        """
    )
    assert pickle.loads(function_code(space["task"]).payload)() == 832_040


# -- modules -------------------------------------------------------------------------------------


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Write, or write again, local modules that a notebook can import."""
    folder = tmp_path / "beside"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)

    def write(name: str, source: str) -> None:
        path = folder.joinpath(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(source)
        os.utime(path, ns=(next(COUNT), next(COUNT)))
        importlib.invalidate_caches()
        for loaded in [n for n in sys.modules if n.startswith("wf_local")]:
            del sys.modules[loaded]

    yield write
    for name in set(sys.modules) - before:
        if name.startswith("wf_local"):
            del sys.modules[name]


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
    pytest.importorskip("jax")
    source = "import jax\nK = 2.0\n@jax.jit\ndef f(x):\n    return x * K\n"
    source += "g = jax.vmap(jax.grad(f))\ndef task(x):\n    return f(x), g(x)"
    assert differing(source, source.replace("x * K", "x + K")) == {"function f"}
    assert differing(source, source.replace("K = 2.0", "K = 3.0")) == {"constant K"}
    assert "package jax" in dict(code_of(source).parts)


# -- cells ---------------------------------------------------------------------------------------


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


# -- values --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ((1, 2), (1, 2), True),
        ((1, 2), [1, 2], False),
        (1, 1.0, False),
        (1, True, False),
        ("1", 1, False),
        (0.0, -0.0, False),
        (float("nan"), float("nan"), True),
        ({1, "a", None}, {None, "a", 1}, True),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, False),
        (["a", "b"], ["a, b"], False),
        ([["a"], "b"], [["a", "b"]], False),
        (Slot("x"), Slot("x"), True),
        (Slot("x"), Slot("y"), False),
        ((Slot("x"),), ("x",), False),
        (len, len, True),
        (len, max, False),
        (Path("a"), Path("a"), True),
        (Path("a"), Path("b"), False),
        (ast, os, False),
    ],
)
def test_values_are_told_apart(one: object, other: object, *, same: bool) -> None:
    assert (value_digest(one) == value_digest(other)) == same
    assert len(value_digest(one)) == 40


def test_arrays_and_functions_within_values_count() -> None:
    import numpy as np

    a = np.arange(4.0)
    assert value_digest({"a": a}) == value_digest({"a": a.copy()})
    assert value_digest({"a": a}) != value_digest({"a": a.astype("f4")})
    one, other = (notebook(f"def f():\n    return {n}")["f"] for n in (1, 2))
    assert value_digest([one]) != value_digest([other])
    with pytest.raises(FingerprintError, match=r"A task uses 'value\[1\]', a generator"):
        value_digest([1, (i for i in "")])


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(plain, plain)
def test_equal_digests_mean_equal_values(one: object, other: object) -> None:
    assert (value_digest(one) == value_digest(other)) == (repr(one) == repr(other))


# -- code that is looked at again ----------------------------------------------------------------


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


# -- properties ----------------------------------------------------------------------------------


@st.composite
def programs(draw: st.DrawFn) -> list[tuple[str, set[str], str]]:
    """Definitions as (name, names used, source), each after those it uses."""
    made: list[tuple[str, set[str], str]] = []
    for number in range(draw(st.integers(1, 8))):
        earlier = [name for name, _, _ in made]
        if draw(st.booleans()):
            value = draw(st.sampled_from(["1", "2.5", "'a'", "(1, 'b')", "[1, 2]", "{'k': 3}"]))
            made.append((f"C{number}", set(), f"C{number} = {value}"))
        else:
            used = draw(st.lists(st.sampled_from(earlier), unique=True, max_size=3)) if made else []
            listed = ", ".join(used)
            text = f"def f{number}(x):\n    y = [x, {listed}]\n    return y * {number}"
            made.append((f"f{number}", set(used), text))
    used = draw(st.lists(st.sampled_from([name for name, _, _ in made]), unique=True, max_size=3))
    made.append(("task", set(used), f"def task(x):\n    return [x, {', '.join(used)}]"))
    return made


def written(program: list[tuple[str, set[str], str]]) -> str:
    return "\n\n".join(source for _, _, source in program)


def needed(program: list[tuple[str, set[str], str]]) -> set[str]:
    uses = {name: used for name, used, _ in program}
    found, todo = {"task"}, ["task"]
    while todo:
        for name in uses[todo.pop()] - found:
            found.add(name)
            todo.append(name)
    return found


@given(programs(), st.randoms(use_true_random=False))
def test_order_layout_and_unrelated_names_are_no_part(
    program: list[tuple[str, set[str], str]], chance: random.Random
) -> None:
    first = code_of(written(program)).fingerprint
    shuffled = program.copy()
    chance.shuffle(shuffled)
    assert code_of(written(shuffled)).fingerprint == first
    lines = []
    for line in ast.unparse(ast.parse(written(program))).splitlines():
        lines += [f"{line}  # {chance.random()}"] + [""] * chance.randrange(2)
    assert code_of("'''Doc.'''\n" + "\n".join(lines)).fingerprint == first
    used = needed(program)
    renamed = [
        (name, uses, source if name in used else source.replace(name, f"{name}_other"))
        for name, uses, source in program
        if name in used or not any(name in other for _, other, _ in program)
    ]
    assert code_of(written(renamed)).fingerprint == first


@given(programs(), st.data())
def test_a_change_counts_exactly_where_it_is_used(
    program: list[tuple[str, set[str], str]], data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(program) - 1))
    name, used, source = program[place]
    changed = f"{source} * 2" if name.startswith("f") else source.replace("return", "return 0,")
    if name.startswith("C"):
        changed = f"{name} = 'changed'"
    edited = [*program[:place], (name, used, changed), *program[place + 1 :]]
    part = {"f": f"function {name}", "C": f"constant {name}", "t": "body"}[name[0]]
    expected = {part} if name in needed(program) else set()
    assert differing(written(program), written(edited)) == expected
