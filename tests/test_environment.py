from __future__ import annotations

import platform
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_wf.environment import Environment, environment
from jupyter_wf.errors import CaptureError

HERE = platform.python_version()
MINOR = ".".join(HERE.split(".")[:2])
OTHER = "3.99"


@pytest.mark.parametrize(
    ("asked", "is_"),
    [
        (None, None),
        ({}, None),
        ({"pip": [], "env": {}, "python": None}, None),
        ({"pip": ["b", "a"]}, Environment(pip=("a", "b"))),
        ({"pip": ["a", "A"]}, Environment(pip=("a",))),
        ({"pip": ("Foo.Bar >= 1 , < 2",)}, Environment(pip=("foo-bar<2,>=1",))),
        ({"pip": ["x[b, a]==1.0"]}, Environment(pip=("x[a,b]==1.0",))),
        ({"pip": ["x ; sys_platform=='linux'"]}, Environment(pip=('x; sys_platform == "linux"',))),
        ({"env": {"B": "2", "A": 1}}, Environment(env=(("A", "1"), ("B", "2")))),
        ({"env": {"A": ""}}, Environment(env=(("A", ""),))),
        ({"python": MINOR}, Environment(python=MINOR)),
        ({"python": HERE}, Environment(python=HERE)),
        (Environment(pip=("a",)), Environment(pip=("a",))),
    ],
)
def test_normal_form(asked: Any, is_: Environment | None) -> None:
    assert environment(asked) == is_


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (["jax"], "must be a dict"),
        ({"pips": ["jax"]}, "not 'pips'; did you mean 'pip'?"),
        ({"conda": ["jax"]}, "knows pip, env, python, but not 'conda'"),
        ({"pip": "jax"}, "must be a list of requirements"),
        ({"pip": [1]}, "must be a list of requirements"),
        ({"pip": ["./a.whl"]}, "'./a.whl' is not a requirement"),
        ({"pip": ["a b"]}, "'a b' is not a requirement"),
        ({"pip": ["--index-url x"]}, "Options such as an index belong into the configuration"),
        ({"pip": ["cloudpickle<3"]}, "must be that of the workers"),
        ({"pip": ["Jupyter_WF"]}, "must be that of the workers"),
        ({"env": ["A=1"]}, "must be a dict of variables"),
        ({"env": {"A=B": "1"}}, "'A=B' can't name"),
        ({"env": {"": "1"}}, "'' can't name"),
        ({"env": {"A": True}}, "must be text or a number, not True"),
        ({"env": {"A": "\0"}}, "must be text or a number"),
        ({"env": {"PYTHONPATH": "/x"}}, "PYTHONPATH decides where Python finds modules"),
        ({"python": 3.11}, "must be a version as text"),
        ({"python": "three"}, "must be a version as text"),
        ({"python": OTHER}, f"is {OTHER}, but this is Python"),
    ],
)
def test_refusals_say_what_is_possible(asked: Any, says: str) -> None:
    with pytest.raises(CaptureError) as raised:
        environment(asked)
    assert says in str(raised.value)


NAMES = st.text("abcxyz", min_size=1, max_size=5)


@given(st.lists(NAMES), st.dictionaries(NAMES, st.integers() | st.text("=xy")))
def test_order_and_repetition_mean_nothing(pip: list[str], env: dict[str, Any]) -> None:
    backwards = dict(reversed(env.items()))
    assert environment({"pip": pip, "env": env}) == environment(
        {"pip": [*pip[::-1], *pip], "env": backwards}
    )


def test_what_a_fingerprint_covers() -> None:
    asked = Environment(
        pip=("a",),
        env=(("A", "secret"),),
        lock=("a==1.0", "b[x]==2 ; os_name == 'nt'", "b==3", "c @ file:///c.whl#sha256=0"),
    )
    parts = dict(asked.parts)
    hashed = parts.pop("variable A")
    assert "secret" not in hashed
    assert parts == {
        "environment a": "1.0",
        "environment b": "2 ; os_name == 'nt', 3",
        "environment c": "file:///c.whl#sha256=0",
    }
    assert dict(Environment(env=(("A", "other"),)).parts)["variable A"] != hashed
    assert Environment(python=MINOR).parts == ()
    assert Environment(python=f"{MINOR}.99").parts == (("environment Python", f"{MINOR}.99"),)
    assert [asked.has(name) for name in ("A", "c", "d")] == [True, True, False]


def test_variables_are_not_installed() -> None:
    plain = Environment(pip=("a",), lock=("a==1",))
    assert plain.packages == Environment(env=(("A", "1"),), lock=plain.lock).packages
    assert plain.packages != Environment(lock=("a==2",)).packages
    assert plain.packages != Environment(lock=plain.lock, python=HERE).packages


def test_only_packages_and_another_python_need_building() -> None:
    assert not Environment(env=(("A", "1"),), python=MINOR).builds
    assert not Environment(python=HERE).builds
    assert Environment(pip=("a",)).builds
    assert Environment(python=f"{MINOR}.99").builds
