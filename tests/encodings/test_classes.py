"""Instances of a notebook's classes come back without touching the classes."""

from __future__ import annotations

import gc
import sys
from types import MappingProxyType
from typing import Any

import cloudpickle
import pytest

from jupyter_wf.encodings import decode, encode, unpickle

WRITTEN = """
import dataclasses, enum
scale = 1

class Model:
    limit = 10
    def scaled(self):
        return scale

@dataclasses.dataclass
class Point:
    x: int = 0
    def scaled(self):
        return scale

class Colour(enum.Enum):
    RED = 1
    def scaled(self):
        return scale
"""


@pytest.fixture
def notebook() -> dict[str, Any]:
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(WRITTEN, space)
    return space


@pytest.mark.parametrize("make", ["Model()", "Point(3)", "Colour.RED", "[Point, Model()]"])
def test_classes_of_this_process_stay_as_they_are(notebook: dict[str, Any], make: str) -> None:
    classes = [notebook[name] for name in ("Model", "Point", "Colour")]
    value = eval(make, notebook)
    encoded = encode(value)
    before = [MappingProxyType(dict(vars(cls))) for cls in classes]
    back = decode(encoded)
    assert [dict(vars(cls)) for cls in classes] == before
    assert type(back) is type(value)
    notebook["scale"] = 5
    assert notebook["Model"]().scaled() == notebook["Point"]().scaled() == 5


def test_after_a_restart_values_are_of_the_notebook_s_classes(
    notebook: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    value = eval("[Model(), Point(3), Colour.RED]", notebook)
    data = cloudpickle.dumps(value)
    value.clear()
    notebook.clear()
    gc.collect()
    main = sys.modules["__main__"]
    exec(WRITTEN, again := {"__name__": "__main__"})
    for name in ("Model", "Point", "Colour"):
        monkeypatch.setattr(main, name, again[name], raising=False)
    model, point, colour = unpickle(data)
    assert type(model) is again["Model"]
    assert point == again["Point"](3)
    assert colour is again["Colour"].RED
    again["scale"] = 5
    assert model.scaled() == 5
    monkeypatch.setattr(main, "Model", type("Model", (list,), {"__module__": "__main__"}))
    assert type(unpickle(data)[0]) is not main.Model  # another kind of class, by the same name


def test_classes_that_came_by_pickle_are_brought_up_to_date(notebook: dict[str, Any]) -> None:
    data = cloudpickle.dumps(notebook.pop("Model")())
    gc.collect()
    value = unpickle(data)
    assert value.limit == 10
    type(value).limit = 11
    newer = cloudpickle.dumps(value)
    type(value).limit = 10
    assert type(unpickle(newer)) is type(value)
    assert value.limit == 11
