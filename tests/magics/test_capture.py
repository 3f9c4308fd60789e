"""A cell's line, body and namespace become a task: tables of what is an edge and what is not."""

from __future__ import annotations

import functools
import math
import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fields import names_of

from jupyter_wf.errors import CaptureError
from jupyter_wf.graph import Code, Data, Graph, Task
from jupyter_wf.magics.capture import Captured, capture
from jupyter_wf.magics.options import parse_line
from jupyter_wf.magics.tables import needs_text
from jupyter_wf.requirements import Requirements


class Handle:
    """Stands for a data of the graph."""

    def __init__(self, name: str) -> None:
        self.name = name


class Settings:
    """A class of the notebook."""


def helper(x: float) -> float:
    return x + 1


@functools.cache
def cached(x: float) -> float:
    return x


GRAPH = Graph.of(
    [Task("load", Code("cell", "load", "X = 1", "f1"), outputs=(("X", "X"),))],
    [Data("k", content="c0")],
)
SPACE = {
    "X": Handle("X"),
    "renamed": Handle("X"),
    "lost": Handle("gone"),
    "n": 3,
    "xs": [1, 2],
    "handles": [1, {"deep": Handle("X")}],
    "np": np,
    "math": math,
    "helper": helper,
    "cached": cached,
    "sin": np.sin,
    "sqrt": math.sqrt,
    "Settings": Settings,
    "array": np.arange(3),
    "lock": threading.Lock(),
    "max": 7,
}


def captured(line: str, body: str, **space: Any) -> Captured:
    return capture(
        parse_line(line),
        body,
        namespace={**SPACE, **space},
        graph=GRAPH,
        data_of=lambda value: value.name if isinstance(value, Handle) else None,
    )


@pytest.mark.parametrize(
    ("body", "inputs", "values"),
    [
        ("y = X + 1", {"X": "X"}, []),
        ("y = renamed + 1", {"renamed": "X"}, []),
        ("y = renamed + X", {"renamed": "X", "X": "X"}, []),
        ("y = n + 1", {"n": "n"}, ["n"]),
        ("y = [i + n for i in xs]", {"n": "n", "xs": "xs"}, ["n", "xs"]),
        ("y = np.sin(array) + math.pi", {"array": "array"}, ["array"]),
        ("y = helper(sqrt(sin(cached(1))))", {}, []),
        ("y = Settings()", {}, []),
        ("y = sum(range(3))", {}, []),
        ("y = max", {"max": "max"}, ["max"]),
        ("y = k", {"k": "k"}, []),
        ("display(X)\ny = 1", {"X": "X"}, []),
        ("import os\ny = os.getpid()", {}, []),
    ],
)
def test_what_a_name_becomes(body: str, inputs: dict[str, str], values: list[str]) -> None:
    found = captured("", body)
    assert dict(found.task.inputs) == inputs
    assert sorted(found.values) == values
    assert all(found.values[name] is SPACE[name] for name in values)


@pytest.mark.parametrize(
    ("line", "body", "says"),
    [
        ("", "y = Xs", r"nothing produces `Xs`; did you mean `xs`\?"),
        ("", "y = hlper(1)", r"nothing produces `hlper`; did you mean `helper`\?"),
        ("", "y = zzzzz", r"nothing produces `zzzzz`\. Run the cell"),
        ("", "y = get_ipython()", "runs on a worker"),
        ("", "y = lost", "no longer part of the workflow"),
        ("", "y = handles", "contains the data 'X'"),
        ("", "print(1)", "name the task: %%task NAME"),
        ("", "y = 1 +", r"line 2 of this cell: SyntaxError"),
        ("-o z", "y = 1", r"-o names `z`, but the body binds `y`"),
        ("-i n", "y = n + X", "also reads `X`"),
        ("-i q", "y = 1", "nothing produces `q`"),
        ("--seed 1", "from __future__ import annotations\ny = 1", "line 2 of this cell"),
    ],
)
def test_errors_name_the_thing_and_the_remedy(line: str, body: str, says: str) -> None:
    with pytest.raises(CaptureError, match=says):
        captured(line, body)


def test_a_value_that_hides_a_task_s_output_is_refused() -> None:
    with pytest.raises(CaptureError, match="`del X`"):
        captured("", "y = X", X=3)


def test_outputs_and_names() -> None:
    assert captured("", "a = 1\nb = 2").task.name == "a_b"
    assert captured("fit", "a = 1").task.name == "fit"
    said = captured("-o _b,f", "_b = 1\ndef f(): pass\nc = 3").task
    assert said.outputs == (("_b", "_b"), ("f", "f"))
    assert captured("side", "print(1)").task.outputs == ()
    assert len(captured("", "\n".join(f"{'v' * 40}{i} = 1" for i in range(9))).task.name) == 200


def test_said_inputs_need_not_be_read() -> None:
    assert captured("-i n -i X,xs", "y = n").task.inputs == (("X", "X"), ("n", "n"), ("xs", "xs"))


def test_the_fingerprint_is_of_what_the_body_does() -> None:
    def of(line: str, body: str, **space: Any) -> str:
        return captured(line, body, **space).task.code.fingerprint

    assert of("a", "y = n + 1") == of("b --cpus 3 --no-cache", "y = (n+1)  # same", n=5)
    assert of("", "y = n + 1") != of("", "y = n + 2")
    assert of("--seed 1", "y = rng.random()") == of("--seed 1", "y = rng.random()")
    assert of("--seed 1", "y = rng.random()") != of("--seed 2", "y = rng.random()")
    assert of("--seed 1", "y = 1") != of("", "y = 1")
    assert of("", "y = helper(1)") != of("", "y = helper(1)", helper=lambda x: x + 2)


def test_lines_of_a_seeded_body_stay_where_they_are() -> None:
    plain, seeded = captured("", "y = 1").task.code, captured("--seed 7", "y = 1").task.code
    for code in (plain, seeded):
        lines = code.source.split("\n")
        assert lines.index("y = 1") + code.first_line == 2
        assert code.filename == "<task y>"


def test_a_seed_repeats_and_is_local() -> None:
    code = captured("--seed 7", "import random\ny = rng.random(), random.random()").task.code
    spaces: list[dict[str, Any]] = [{}, {}]
    for space in spaces:
        exec(code.source, space)
    assert spaces[0]["y"] == spaces[1]["y"]
    assert spaces[0]["y"][0] == np.random.default_rng(7).random()


ASKED = [
    ("--cpus 2.5", "cpu", 2500),
    ("--gpu 0.2", "gpu", 200),
    ("--memory 4GiB", "memory", 4295),
    ("--memory 500MB", "memory", 500),
    ("--gpu-memory 8GB", "gpu_memory", 8000),
    ("--resource license=2 --resource disk", "resources", (("disk", 0), ("license", 2000))),
    ("--retries 2", "retries", 2),
    ("--retry-delay 3", "retry_delay", 3.0),
    ("--retry-on OSError,x.Lost", "retry_on", ("OSError", "x.Lost")),
    ("--no-retry-on KeyError", "no_retry_on", ("KeyError",)),
    ("--timeout 60", "timeout", 60.0),
    ("--partition gpu", "partition", "gpu"),
    ("--no-cache", "cache", False),
    ("--priority -1", "priority", -1),
]


@pytest.mark.parametrize(("line", "field", "value"), ASKED)
def test_requirements(line: str, field: str, value: object) -> None:
    assert parse_line(line).requirements == replace(Requirements(), **{field: value})


def test_all_that_can_be_required_has_an_option() -> None:
    assert {field for _, field, _ in ASKED} == names_of(Requirements)


@pytest.mark.parametrize(("line", "field", "value"), ASKED)
def test_what_is_required_is_shown(line: str, field: str, value: object) -> None:
    plain = Requirements(retries=1)
    assert needs_text(replace(plain, **{field: value})) != needs_text(plain)


def test_env_may_be_repeated() -> None:
    environment = parse_line("fit --env 'jax<0.6' --env Emoji").environment
    assert environment is not None
    assert environment.pip == ("emoji", "jax<0.6")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("--env 'a b'", "'a b' is not a requirement"),
        ("--map x=xs", "--map is not in this release"),
        ("--lang r", "--lang r is not in this release"),
        ("--memory lots", "not a size of memory"),
        ("--cpus 0", "cpus must be at least"),
        ("--timeout -1", "timeout must be more"),
        ("--gpus 1", r"'--gpus' is not understood .did you mean --gpu"),
        ("a b", "'b' is not understood"),
        ("-i 3x", "-i '3x' is not a variable's name"),
        ('"a', "Close the quotes"),
    ],
)
def test_bad_lines(line: str, says: str) -> None:
    with pytest.raises(CaptureError, match=says):
        parse_line(line)


def test_a_name_may_hold_spaces_and_a_comment_may_follow() -> None:
    assert parse_line('"fit model" --lang Python  # note').name == "fit model"
