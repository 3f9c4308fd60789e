from __future__ import annotations

import ast
import random
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_wf import fingerprint
from jupyter_wf.fingerprint import (
    Keys,
    combine,
    data_key,
    digest,
    graph_keys,
    normalise,
    recipe,
    source_key,
    task_key,
)
from jupyter_wf.graph import Call, Code, Data, Graph, Task
from jupyter_wf.requirements import Requirements

BODY = """
total = 0
for row in rows:
    if row and not skip:
        total += weigh(row, scale=0x10, *extra)
    elif row is None:
        label = f"{row!r:>{width}} of {total}"
best = max((total, 1), key=lambda pair: pair[0])
"""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "x=1  # one"),
        ("x = 1", "\n\n\nx = 1\n"),
        ("x = (1 + 2)", "x = 1 + 2"),
        ("x = [1, 2]", "x = [\n    1,\n    2,\n]"),
        ("f(a, b)", "f(\n    a,\n    b,\n)"),
        ("x = 'a'", 'x = "a"'),
        ("x = u'a'", "x = 'a'"),
        ("x = 'ab'", "x = 'a' 'b'"),
        ("x = f'a{y}b'", "x = 'a' f'{y}' 'b'"),
        ("x = 16", "x = 0x10"),
        ("x = 1000", "x = 1_000"),
        ("x = 1; y = 2", "x = 1\ny = 2"),
        ("def f():\n    return 1", "def f():\n    'Doc.'\n    return 1"),
        ("def f():\n    pass", "def f():\n    '''Doc.'''"),
        ("def f():\n    return 1", "def f():\n\n    # why\n    pass\n    return 1"),
        ("class A:\n    x = 1", "class A:\n    '''Doc.'''\n    x = 1\n    '''Of x.'''"),
        ("async def f():\n    await g()", "async def f():\n    'Doc.'\n    await g()"),
        ("x = 1", "'''Of the module.'''\nx = 1"),
        ("x = 1  # type: int", "x = 1"),
        ("if a:\n    x = 1\nelse:\n    if b:\n        x = 2", "if a:\n  x = 1\nelif b:\n  x = 2"),
        ("with (a as b, c as d):\n    f()", "with a as b, c as d:\n    f()"),
    ],
)
def test_layout_and_comments_are_left_out(one: str, other: str) -> None:
    assert normalise(one) == normalise(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "x = 2"),
        ("x = 1", "x = 1.0"),
        ("x = 1", "x = True"),
        ("x = 0.0", "x = -0.0"),
        ("x = 'a'", "x = b'a'"),
        ("x = 'a'", "x = a"),
        ("x = None", "x = 'None'"),
        ("x = 1", "y = 1"),
        ("x = 1", "x += 1"),
        ("x = a - (b - c)", "x = a - b - c"),
        ("x = (1,)", "x = 1"),
        ("f('Doc.')", "f()"),
        ("x = 'Doc.'", "x = ''"),
        ("def f():\n    return 1", "async def f():\n    return 1"),
        ("def f(a, /): pass", "def f(a): pass"),
        ("def f(*, a): pass", "def f(a): pass"),
        ("def f(*, a, b=1): pass", "def f(*, a=1, b): pass"),
        ("{**a, b: c}", "{a: b, **c}"),
        ("x = [[1], 2]", "x = [[1, 2]]"),
        ("from . import a", "from .. import a"),
        ("x = f'{y}'", "x = '{y}'"),
        ("x = f'{y!r}'", "x = f'{y}'"),
    ],
)
def test_what_code_does_is_kept(one: str, other: str) -> None:
    assert normalise(one) != normalise(other)


def test_huge_numbers_and_deep_expressions_have_a_text() -> None:
    assert normalise("x = 0x" + "f" * 20_000) != normalise("x = 0x" + "f" * 19_999)
    assert normalise("x = " + " + ".join(["y"] * 900))


def test_a_syntax_tree_is_not_changed() -> None:
    tree = ast.parse("def f():\n    'Doc.'\n    return 1")
    before = ast.dump(tree, include_attributes=True)
    assert normalise(tree) == normalise("def f(): return 1")
    assert ast.dump(tree, include_attributes=True) == before


def commented(source: str, chance: random.Random) -> str:
    """Write code another way: other layout, comments, blank lines and docstrings."""
    lines = ["'''About this.'''"]
    for line in ast.unparse(ast.parse(source)).splitlines():
        indent = line[: len(line) - len(line.lstrip())]
        if chance.random() < 0.5:
            lines += ["", f"{indent}# {chance.random()}"]
        lines.append(f"{line}  # {chance.random()}" if chance.random() < 0.5 else line)
    return "\n".join(lines)


@given(st.randoms(use_true_random=False))
def test_reformatting_and_commenting_changes_nothing(chance: random.Random) -> None:
    assert normalise(commented(BODY, chance)) == normalise(BODY)


@given(st.lists(st.text(st.characters(codec=None), max_size=5), max_size=4), st.data())
def test_no_two_lists_of_fields_hash_alike(fields: list[str], data: st.DataObject) -> None:
    others = st.lists(st.text("\0a:1,", max_size=3), max_size=4)
    other = data.draw(st.one_of(others, st.just(["".join(fields)]), st.just([*fields, ""])))
    assert len(digest(*fields)) == 40
    assert (digest(*fields) == digest(*other)) == (fields == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("", "lengths", "1", "1", "\0"), ("\0", "")),
        (("\0",), ("", "")),
        (("a\0b",), ("a", "b")),
        (("a\0", "b"), ("a", "\0b")),
        ((), ("",)),
    ],
)
def test_separators_within_fields_mislead_nobody(
    one: tuple[str, ...], other: tuple[str, ...]
) -> None:
    assert digest(*one) != digest(*other)


def test_a_fingerprint_is_of_parts_in_any_order() -> None:
    parts = [("body", "1"), ("function helper", "2")]
    assert combine(parts) == combine(reversed(parts))
    assert combine(parts) != combine([("body", "2"), ("function helper", "1")])
    assert combine(parts) != combine(parts[:1])


@pytest.mark.parametrize("constant", ["SCHEMA", "PYTHON"])
def test_schema_and_python_are_part_of_a_fingerprint(
    constant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = combine([("body", "1")])
    assert f"{sys.version_info.major}.{sys.version_info.minor}" == fingerprint.PYTHON
    monkeypatch.setattr(fingerprint, constant, "other")
    assert combine([("body", "1")]) != before


def test_keys_of_different_things_differ() -> None:
    pairs = [("X", "k1"), ("Y", "k2")]
    made = [
        task_key("f", None, pairs),
        task_key("f", "c", pairs),
        task_key("f", None, [("X", "k2"), ("Y", "k1")]),
        task_key("f", None, pairs[:1]),
        recipe("f", None, pairs),
        data_key("f", "X"),
        data_key("f", "Y"),
        source_key("f"),
    ]
    assert len(set(made)) == len(made)
    assert {len(key) for key in made} == {40}
    assert task_key("f", None, reversed(pairs)) == made[0]


# -- keys of graphs -----------------------------------------------------------------------------


def node(number: int, reads: list[str], fingerprint: str = "f") -> Task:
    code = Code("cell", f"t{number}", "", f"{fingerprint}{number}")
    inputs = tuple((name, name) for name in reads)
    return Task(f"t{number}", code, inputs, ((f"d{number}", f"d{number}"),))


@st.composite
def graphs(draw: st.DrawFn) -> list[Task]:
    tasks: list[Task] = []
    for number in range(draw(st.integers(1, 10))):
        known = ["given", *(f"d{earlier}" for earlier in range(number))]
        tasks.append(node(number, draw(st.lists(st.sampled_from(known), unique=True, max_size=3))))
    return tasks


GIVEN = Data("given", content="c" * 40)


@given(graphs(), st.randoms(use_true_random=False))
def test_the_order_of_cells_is_no_part_of_keys(tasks: list[Task], chance: random.Random) -> None:
    keys = graph_keys(Graph.of(tasks, [GIVEN]))
    chance.shuffle(tasks)
    assert graph_keys(Graph.of(tasks, [GIVEN])) == keys
    assert set(keys.tasks) == {task.name for task in tasks}
    assert set(keys.data) == {"given", *(data for task in tasks for _, data in task.outputs)}


@given(graphs(), st.data())
def test_a_changed_task_changes_its_own_and_its_descendants_keys_only(
    tasks: list[Task], data: st.DataObject
) -> None:
    graph = Graph.of(tasks, [GIVEN])
    old = data.draw(st.sampled_from(tasks))
    edited = graph.with_task(
        Task(old.name, Code("cell", old.name, "", "changed"), old.inputs, old.outputs)
    )
    changed = changes(graph_keys(graph), graph_keys(edited))
    assert changed == {old.name} | graph.descendants([old.name])


@given(graphs())
def test_a_changed_value_changes_its_descendants_keys_only(tasks: list[Task]) -> None:
    graph = Graph.of(tasks, [GIVEN])
    changed = changes(graph_keys(graph), graph_keys(graph.with_data(Data("given", content="e"))))
    readers = set(graph.dependents("given"))
    assert changed == readers | graph.descendants(readers)


def changes(old: Keys, new: Keys) -> set[str]:
    tasks = {name for name in new.tasks if old.tasks.get(name) != new.tasks[name]}
    assert {f"d{name[1:]}" for name in tasks} == {
        name for name in new.data if name != "given" and old.data.get(name) != new.data[name]
    }
    return tasks


@given(graphs(), st.data())
def test_keys_taken_over_are_those_computed_anew(tasks: list[Task], data: st.DataObject) -> None:
    graph = Graph.of(tasks, [GIVEN])
    keys = graph_keys(graph)
    for step in range(5):
        name = data.draw(st.sampled_from(sorted(graph.tasks) or ["none"]))
        old = graph.tasks.get(name)
        edit = data.draw(st.sampled_from(["edit", "remove", "give", "rename"]))
        if old is None or edit == "give":
            graph = graph.with_data(Data("given", content=str(step)))
        elif edit == "edit":
            code = Code("cell", name, "", data.draw(st.sampled_from("ab")))
            graph = graph.with_task(Task(name, code, old.inputs, old.outputs))
        else:
            graph = graph.without_task(name)
            if edit == "rename" and all(read in graph.data for _, read in old.inputs):
                graph = graph.with_task(Task(f"{name}{step}", old.code, old.inputs, old.outputs))
        keys = graph_keys(graph, keys)
        assert keys == graph_keys(graph)
        assert keys.graph is graph


def test_what_needs_an_orphan_has_no_key_until_it_is_made_again() -> None:
    tasks = [node(0, []), node(1, ["d0"]), node(2, ["d1"]), node(3, ["given"])]
    whole = Graph.of(tasks, [GIVEN])
    keys = graph_keys(whole)
    without = graph_keys(whole.without_task("t0"), keys)
    assert set(without.tasks) == {"t3"}
    assert set(without.data) == {"d3", "given"}
    assert graph_keys(whole, without) == keys


def test_names_and_requirements_are_no_part_of_a_key() -> None:
    code = Code("function", "f", "", "f")
    call = Call("digest", b"")
    one = Task("one", code, (), (("result", "a"),), call)
    other = Task("other", code, (), (("result", "b"),), call, Requirements(gpu=1000, retries=3))
    keys = graph_keys(Graph.of([one, other]))
    assert keys.tasks["one"] == keys.tasks["other"]
    assert keys.data["a"] == keys.data["b"]


def test_what_is_not_python_is_refused() -> None:
    with pytest.raises(SyntaxError):
        normalise("for = 1")
