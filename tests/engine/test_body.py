from __future__ import annotations

import linecache
from collections.abc import Iterator

import pytest

from jupyter_wf.engine.body import Body
from jupyter_wf.graph import Code

NAME = "<a cell of a test>"


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    yield
    linecache.cache.pop(NAME, None)


def code(source: str, first_line: int) -> Code:
    return Code("cell", "c", source, source, filename=NAME, first_line=first_line)


def test_a_cell_that_this_process_knows_keeps_its_text() -> None:
    text = ["import math\n", "x = 1\n", "y = 2\n"]
    linecache.cache[NAME] = (25, None, text, NAME)
    Body(code("y = 3", 1)).run(None, {}, ("y",))
    assert linecache.getlines(NAME) == text


def test_pieces_of_a_cell_of_another_process_come_one_after_another() -> None:
    Body(code("y = 3", 3)).run(None, {}, ("y",))
    Body(code("x = 1", 1)).run(None, {}, ("x",))
    assert linecache.getlines(NAME) == ["x = 1\n", "\n", "y = 3\n"]
    Body(code("x = 2", 1)).run(None, {}, ("x",))
    assert linecache.getlines(NAME) == ["x = 2\n", "\n", "y = 3\n"]
