from __future__ import annotations

import ast
import random

from hypothesis import given
from hypothesis import strategies as st

from tests.closure.cells import code_of, differing


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
