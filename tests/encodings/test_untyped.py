"""What has no typed form is named or pickled, and decoding runs nothing it was not asked to."""

from __future__ import annotations

import sys
from collections import OrderedDict
from typing import Any

import numpy as np
import pandas as pd
import pytest

from jupyter_wf.encodings import Encoded, content_id, decode, encode
from jupyter_wf.errors import CorruptValueError, FingerprintError, StoreError

# -- what has no typed form -----------------------------------------------------------------------


class Odd:
    """A class without a typed form, whose repr must not be called."""

    def __repr__(self) -> str:
        raise AssertionError("repr was called")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Odd)

    __hash__ = None  # type: ignore[assignment]


def cycle() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


def deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [0, 1, Odd()]}, r'x\["a"\]\[2\]: a .*Odd has no stable identity\. Use numbers'),
        ((1, {2: Odd()}), r"x\[1\]\[2\]: a .*Odd has"),
        ({("k", Odd): 1}, r"x\.keys\(\)\[1\]: a type has"),
        (np.array([None, 1]), "x: an array of dtype object has"),
        (np.ma.masked_array([1]), "x: a numpy.ma.* has"),
        (OrderedDict(a=1), "x: a collections.OrderedDict has"),
        (cycle(), r"x\[0\].*nested more than 100 deep, or within itself, has"),
        (deep(2000), r"x\[0\].*nested more than 100 deep"),
        (lambda: 1, "x: a function has"),
    ],
)
def test_what_has_no_typed_form_is_named(value: Any, message: str) -> None:
    with pytest.raises(FingerprintError, match=f"^{message}"):
        encode(value, pickle=False, name="x")


@pytest.mark.parametrize("value", [Odd(), {"a": Odd()}, np.array([None, 1]), OrderedDict(a=1)])
def test_the_rest_is_pickled_as_a_whole(value: Any) -> None:
    encoded = encode(value)
    assert encoded.kind == "pickle"
    assert encoded.text == '{"pickle":0}'
    assert len(encoded.leaves) == 1
    assert np.all(decode(encoded) == value)


def test_a_cycle_is_pickled() -> None:
    back = decode(encode(cycle()))
    assert back[0] is back


@pytest.mark.parametrize("value", [deep(100_000), (x for x in "ab"), sys._getframe()])
def test_what_can_not_even_be_pickled_is_told(value: Any) -> None:
    with pytest.raises(StoreError, match=r"^A \w+ can't be stored: .*Return the data"):
        encode(value)


# -- decoding is careful --------------------------------------------------------------------------


def made_up(text: str, kind: str = "tree", leaves: tuple[Any, ...] = ()) -> Encoded:
    return Encoded(kind, text, leaves, 0, "", content_id(kind, text, leaves))


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ('{"pickle":0}', CorruptValueError, "form 'pickle'"),
        ('{"later":0}', CorruptValueError, "form 'later'.*Upgrade"),
        ('{"array":7}', CorruptValueError, "not well-formed"),
        ('{"tuple":3}', CorruptValueError, "not well-formed"),
        ('{"int":"x"}', CorruptValueError, "not well-formed"),
        ("[" * 100_000, CorruptValueError, "not well-formed"),
        ("{", CorruptValueError, "not well-formed"),
        ('{"dataclass":"os:system","fields":{}}', CorruptValueError, "is not a class"),
        ('{"dataclass":"subprocess:Popen","fields":{}}', StoreError, "exactly the fields"),
        ('{"named":"builtins:tuple","fields":{"x":1}}', StoreError, "exactly the fields"),
        ('{"enum":"builtins:int","name":"real"}', StoreError, "no enum"),
        ('{"dataclass":"no_such_module:X","fields":{}}', StoreError, "can't be imported"),
        (
            '{"dataclass":"jupyter_wf.graph:Requirements","fields":{"cpu":1}}',
            StoreError,
            "Requirements.*exactly the fields",
        ),
    ],
)
def test_a_tree_that_was_made_up(text: str, error: type[Exception], message: str) -> None:
    leaf = np.frombuffer(b"cos\nsystem\n(S'true'\ntR.", dtype="u1")
    with pytest.raises(error, match=message):
        decode(made_up(text, leaves=(leaf,)))


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = encode(pd.DataFrame({"x": [1]}))
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(StoreError, match=r"kind 'frame' can't be read here: .*pandas"):
        decode(encoded)
