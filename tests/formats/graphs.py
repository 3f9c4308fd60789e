"""Graphs to draw: small ones by hand, any by hypothesis."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from jupyter_wf.graph import Code, Data, Graph, Task

#: Two calls of one function, and one of another.
CALLS = ("fit-25d57cdb36e04a8d", "fit-25d51ffe21b7a9d3", "load-77aa01b2c3d4e5f6")
HOSTILE = (
    '</title></style><script>window.pwned=1</script><img src=x onerror="pwned=1">]]>&amp;\'"\\'
)


def task(name: str, reads: Sequence[str] = (), makes: Sequence[str] = ()) -> Task:
    code = Code("cell", name, "", f"fingerprint of {name}")
    return Task(name, code, tuple((n, n) for n in reads), tuple((n, n) for n in makes))


def diamond() -> Graph:
    return Graph.of(
        [
            task("load", ["path"], ["X", "y"]),
            task("left", ["X"], ["a"]),
            task("right", ["X", "y"], ["b"]),
            task("join", ["a", "b", "y"], ["total"]),
        ],
        [Data("path", content="c0")],
    )


def calls() -> Graph:
    return Graph.of([task(CALLS[2], [], CALLS[2:]), *(task(c, CALLS[2:], [c]) for c in CALLS[:2])])


def hostile() -> Graph:
    return Graph.of(
        [task(HOSTILE, [HOSTILE + "in"], [HOSTILE + "out"]), task("日本語", [HOSTILE + "out"])],
        [Data(HOSTILE + "in", content="c0")],
    )


NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(str.isprintable)


@st.composite
def graphs(draw: st.DrawFn, most: int = 14) -> Graph:
    names = draw(st.lists(NAMES, min_size=0, max_size=most, unique=True))
    given_from_outside = draw(st.lists(NAMES, max_size=3, unique=True))
    made = [f"data:{name}" for name in given_from_outside]
    values = [Data(name, content="c") for name in made]
    tasks = []
    for name in names:
        reads = draw(st.lists(st.sampled_from(made), max_size=4, unique=True)) if made else []
        count = draw(st.integers(0, 9))
        makes = [f"{name}/{number}" for number in range(count)]
        tasks.append(task(name, reads, makes))
        made += makes
    return Graph.of(tasks, values)
