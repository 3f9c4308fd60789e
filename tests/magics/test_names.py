"""Names that a body reads and makes: a table, and generated bodies held against Python itself."""

from __future__ import annotations

from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_wf.errors import CaptureError
from jupyter_wf.magics.names import names

TABLE = [
    ("y = x", "x", "y"),
    ("x = 1\ny = x", "", "x y"),
    ("x = x + 1", "x", "x"),
    ("x += 1", "x", "x"),
    ("x = 0\nx += y", "y", "x"),
    ("a, (b, *c) = x", "x", "a b c"),
    ("[a, b] = x", "x", "a b"),
    ("a = b = x", "x", "a b"),
    ("a.b = x", "a x", ""),
    ("a[i] = x", "x a i", ""),
    ("a[i] += x", "a i x", ""),
    ("a: int = 3", "int", "a"),
    ("a: T", "T", ""),
    ("_t = x\ny = _t", "x", "y"),
    ("__ = x", "x", ""),
    ("import numpy as np\nfrom os import path\nimport a.b\ny = np.sum(path, a)", "", "y"),
    ("def f(v=K): return v + g(X)\ny = f(1)", "K g X", "y"),
    ("def f(): return X\nX = 3\ny = f()", "", "X y"),
    ("def f(n): return f(n - 1)", "", ""),
    ("@deco\ndef f(a: T) -> R: pass", "R T deco", ""),
    ("async def f(): return await g()", "g", ""),
    ("class A(B):\n    u = v\n    w = u\n    def m(self): return z", "B v z", ""),
    ("f = lambda a: a + b", "b", "f"),
    ("y = [i * k for i in xs if i]", "k xs", "y"),
    ("y = {i: j for i, j in xs}", "xs", "y"),
    ("y = list(i for i in xs for k in i if q)", "list q xs", "y"),
    ("y = [z := i for i in xs]", "xs", "z y"),
    ("y = [[j for j in i] for i in xs]", "xs", "y"),
    ("if (n := len(xs)) > 2 and n: y = n", "len xs", "n y"),
    ("print(n, n := 3)", "print n", "n"),
    ("for i in xs:\n    y = i", "xs", "y"),
    ("for i, (j, k) in xs: pass\nelse: y = i", "xs", "y"),
    ("for i in xs: pass\ni = 3", "xs", "i"),
    ("i = 3\nfor i in xs: pass", "xs", ""),
    ("for i in xs:\n    total = total + i", "xs total", "total"),
    ("for i in xs:\n    if i: s = prev\n    prev = i", "xs", "s prev"),
    ("for i in xs:\n    if i: s = other\n    prev = i", "xs other", "s prev"),
    ("while go:\n    go = step(go)", "go step", "go"),
    ("while True:\n    if k: break\n    k = 1", "k", "k"),
    ("with open(p) as f, g() as (h, _):\n    y = f.read()", "open p g", "y"),
    ("with a.b() as c.d: pass", "a c", ""),
    (
        "try:\n    y = f()\nexcept E as e:\n    y = e\nelse:\n    z = 1\nfinally:\n    w = 2",
        "f E",
        "y z w",
    ),
    ("try:\n    import fast as m\nexcept ImportError:\n    m = None", "ImportError", ""),
    ("if c:\n    y = 1\nelse:\n    z = 2", "c", "y z"),
    ("if c:\n    y = 1\nprint(y)", "c print", "y"),
    ("match v:\n    case [a, *b] if a > k: y = a\n    case P(z=w): y = w", "v k P", "y"),
    ("match v:\n    case {'q': q, **r}: y = q", "v", "y"),
    ("match v:\n    case a: pass\na = 3", "v", "a"),
    ("def f():\n    global c\n    c = 1\nf()", "", "c"),
    (
        "def f():\n    n = 0\n    def g():\n        nonlocal n\n        n += k\n    return g",
        "k",
        "",
    ),
    ("x = 1\ndel x", "", ""),
    ("x = 1\nif c:\n    del x", "c", "x"),
    ("del x", "x", ""),
    ("del x[0]", "x", ""),
    ("y = f'{x!r:>{w}}'", "x w", "y"),
    ("y = {**a, b: c}", "a b c", "y"),
    ("y = a if b else c", "b a c", "y"),
    ("assert x, m\nraise E(x) from q", "x m E q", ""),
    ("", "", ""),
    ("x = y = 1  # z", "", "x y"),
    ("def f(): import scipy.sparse", "", ""),
]


@pytest.mark.parametrize(("body", "reads", "outputs"), TABLE)
def test_table(body: str, reads: str, outputs: str) -> None:
    found = names(body)
    assert sorted(found.reads) == sorted(reads.split())
    assert list(found.outputs) == outputs.split()


def test_order_is_that_of_the_text() -> None:
    found = names("d = c\nb = a + c")
    assert (found.reads, found.outputs) == (("c", "a"), ("d", "b"))


@pytest.mark.parametrize(
    ("body", "line", "says"),
    [
        ("x = 1\ny = = 2", 3, "SyntaxError: invalid syntax"),
        ("x = 1\n  y = 2", 3, "IndentationError"),
        ("return 3", 2, "'return' outside function"),
        ("x = 1\n%time y", 3, "IPython syntax"),
        ("files = !ls", 2, "IPython syntax"),
        ("!ls", 2, "IPython syntax"),
        ("x?", 2, "IPython syntax"),
        ("x = %timeit 3", 2, "IPython syntax"),
        ("x = 1\n%%task again\ny = 2", 3, "second cell magic"),
        ("from numpy import *", 2, "Import them by name"),
        ("x = (1,\n", 2, "never closed"),
        ("x = 1 % y)", 2, "unmatched"),
    ],
)
def test_errors_name_the_line_of_the_cell(body: str, line: int, says: str) -> None:
    with pytest.raises(CaptureError) as caught:
        names(body, first_line=2)
    assert str(caught.value).startswith(f"line {line} of this cell")
    assert says in str(caught.value)


def test_null_bytes_are_refused() -> None:
    with pytest.raises(CaptureError):
        names("x = '\0'")


# -- generated bodies, held against what Python does ------------------------------------------

NAMES = st.sampled_from(["a", "b", "c", "d"])


class Watched(dict[str, Any]):
    """A namespace that supplies any missing name and remembers which were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[str] = set()
        self.made: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        if name == "sum":
            return sum
        if name not in self.made:
            self.asked.add(name)
            return 3
        return super().__getitem__(name)

    def __setitem__(self, name: str, value: Any) -> None:
        self.made.add(name)
        super().__setitem__(name, value)


def expressions() -> st.SearchStrategy[str]:
    leaf = st.one_of(NAMES, st.just("1"))
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.builds("({} + {})".format, inner, inner),
            st.builds("({} := {})".format, NAMES, inner),
            st.builds("({}, {})[1]".format, inner, inner),
            st.builds("sum([i + {} for i in (1, {})])".format, leaf, leaf),
        ),
        max_leaves=3,
    )


def statements() -> st.SearchStrategy[str]:
    simple = st.one_of(
        st.builds("{} = {}".format, NAMES, expressions()),
        st.builds("{}, {} = {}, {}".format, NAMES, NAMES, expressions(), expressions()),
        st.builds("{} += {}".format, NAMES, expressions()),
        st.builds("{}".format, expressions()),
    )
    block = st.lists(simple, min_size=1, max_size=3).map("\n    ".join)
    compound = st.one_of(
        st.builds("for _i in (1, 2):\n    {}".format, block),
        st.builds("if 1:\n    {}".format, block),
        st.builds("try:\n    {}\nfinally:\n    {}".format, block, block),
    )
    return st.one_of(simple, simple, compound)


def run(body: str) -> Watched:
    space = Watched()
    exec(compile(body, "<test>", "exec"), {"__builtins__": {}, **dict.fromkeys("abcd", 3)}, space)
    return space


@settings(max_examples=300, deadline=None)
@given(st.lists(statements(), min_size=1, max_size=6).map("\n".join))
def test_straight_code_agrees_with_python(body: str) -> None:
    """Every statement of these bodies runs, so that Python's own look-ups are the truth."""
    space = run(body)
    found = names(body)
    loops = {"_i"}
    assert set(found.outputs) == space.made - loops
    reads = set(found.reads) - {"sum"}
    assert space.asked - loops <= reads <= space.asked | _inside(body)


def _inside(body: str) -> set[str]:
    """Names that a comprehension may read, which Python looks up where we can't watch."""
    return {name for name in "abcd" if f"i + {name}" in body}


@given(st.lists(statements(), min_size=1, max_size=4).map("\n".join))
def test_layout_changes_no_name(body: str) -> None:
    spaced = "# first\n\n" + dedent(body).replace("\n", "  # note\n") + "\n\n"
    assert names(spaced) == names(body)
