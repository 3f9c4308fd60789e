"""The names and parameters that users and tutorials rely on, as a table."""

from __future__ import annotations

import inspect

import pytest

import jupyter_wf as wf
from jupyter_wf import errors

FUNCTIONS = {
    "DaskEngine": ["target", "workers"],
    "LocalEngine": ["workers", "partitions"],
    "Workflow": ["engine", "store"],
    "connect": ["target"],
    "context": [],
    "current": [],
}
TASK = ["partition", "gpu", "memory", "retries", "timeout", "environment"]
METHODS = {
    "Workflow": {
        "cancel": [],
        "close": [],
        "connect": ["target"],
        "define": ["task", "values", "run"],
        "handle": ["name"],
        "plan": ["force"],
        "put": ["value", "name"],
        "redo": [],
        "remove": ["name"],
        "reset": [],
        "run": ["force"],
        "subscribe": ["listener"],
        "undo": [],
        "view": [],
        "why": ["name"],
    },
    "DataHandle": {"get": [], "wait": ["timeout"], "zarr": []},
}
ATTRIBUTES = {
    "DataHandle": ["__array__", "__await__", "id", "key", "name", "state"],
    "Workflow": ["__enter__", "__exit__"],
}
ERRORS = [name for name, found in vars(errors).items() if inspect.isclass(found)]


def _parameters(function: object) -> list[str]:
    assert callable(function)
    return [name for name in inspect.signature(function).parameters if name != "self"]


def _in_order(expected: list[str], found: list[str]) -> bool:
    remaining = iter(found)
    return all(name in remaining for name in expected)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_function(name: str) -> None:
    assert _in_order(FUNCTIONS[name], _parameters(getattr(wf, name)))


def test_options_of_task() -> None:
    found = inspect.signature(wf.task).parameters
    assert set(TASK) <= set(found)
    assert all(found[name].kind is inspect.Parameter.KEYWORD_ONLY for name in TASK)


@pytest.mark.parametrize(
    ("owner", "method"), [(owner, method) for owner, table in METHODS.items() for method in table]
)
def test_method(owner: str, method: str) -> None:
    found = _parameters(getattr(getattr(wf, owner), method))
    assert _in_order(METHODS[owner][method], found)


@pytest.mark.parametrize(
    ("owner", "attribute"), [(owner, name) for owner, names in ATTRIBUTES.items() for name in names]
)
def test_attribute(owner: str, attribute: str) -> None:
    assert hasattr(getattr(wf, owner), attribute)


@pytest.mark.parametrize("name", ERRORS)
def test_error(name: str) -> None:
    assert getattr(wf, name) is getattr(errors, name)


def test_invoking_a_task_has_a_plural() -> None:
    @wf.task
    def double(x: float) -> float:
        return 2 * x

    assert {"invoke", "map_invoke"} <= set(dir(double))
    assert double(3) == 6


def test_what_is_offered_is_there() -> None:
    missing = [name for name in wf.__all__ if not hasattr(wf, name)]
    assert not missing
    assert set(wf.__all__) <= set(dir(wf))
    assert {*FUNCTIONS, *METHODS, *ERRORS, "task"} <= set(dir(wf))
    assert callable(wf.load_ipython_extension)
    assert callable(wf.unload_ipython_extension)


def test_a_wrong_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        _ = wf.nonsense  # type: ignore[attr-defined]
