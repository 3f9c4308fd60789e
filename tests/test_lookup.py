from __future__ import annotations

import pytest

from jupyter_wf.errors import GraphError
from jupyter_wf.graph import Code, Data, Graph, Task
from jupyter_wf.lookup import task_named, tasks_named

CALLS = ("fit-25d57cdb36e04a8d", "fit-25d51ffe21b7a9d3")


def task(name: str, reads: str, makes: str) -> Task:
    return Task(name, Code("cell", name, "", name), ((reads, reads),), ((makes, makes),))


GRAPH = Graph.of(
    [task("load", "path", "X"), *(task(call, "X", call) for call in CALLS)],
    [Data("path", content="c")],
).with_task(task("late", "X", "Z"))


@pytest.mark.parametrize(
    ("names", "tasks"),
    [
        (["load"], ("load",)),
        (["X", "load", "X"], ("load",)),
        (["path"], ()),
        (["fit-25d57"], (CALLS[0],)),
        ([CALLS[1], "fit-25d51", "Z"], (CALLS[1], "late")),
    ],
)
def test_who_is_meant(names: list[str], tasks: tuple[str, ...]) -> None:
    assert tasks_named(GRAPH, names) == tasks


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("lod", "named 'lod'; did you mean 'load'\\? Tasks: fit-25d51ffe21b7a9d3, fit-25d57"),
        ("fit", "no task or data named 'fit'"),
        ("fit-25d5", "no task or data named 'fit-25d5'"),
        ("path", "'path' is no task but data: given from outside; read by load"),
    ],
)
def test_who_is_nobody(name: str, says: str) -> None:
    with pytest.raises(GraphError, match=says):
        task_named(GRAPH, name)


def test_nobody_makes_what_is_left_behind() -> None:
    orphaned = GRAPH.without_task("load")
    with pytest.raises(GraphError, match=r"nothing makes it any more; read by fit-.*, late\."):
        tasks_named(orphaned, ["X"])
