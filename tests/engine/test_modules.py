from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cloudpickle
import pytest

from jupyter_wf.encodings import Encoded
from jupyter_wf.engine.breaker import Breaker
from jupyter_wf.engine.hands import Hands
from jupyter_wf.engine.modules import Modules
from jupyter_wf.engine.signals import Attempt, Finished
from jupyter_wf.engine.testing import cell
from jupyter_wf.engine.worker import Bench
from jupyter_wf.graph import Code

Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write modules into a folder on the path."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def write(**sources: str) -> None:
        for name, source in sources.items():
            path = tmp_path / (name.replace("__", "/") + ".py")
            path.parent.mkdir(exist_ok=True)
            path.write_text(source)

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


def load(name: str) -> object:
    return importlib.import_module(name)


def test_an_edited_module_is_imported_anew_and_an_equal_one_is_kept(write: Write) -> None:
    modules = Modules()
    write(wfm_a="x = 1")
    assert modules.follow((("wfm_a", "1"),)) == 0
    first = load("wfm_a")
    assert modules.follow((("wfm_a", "1"),)) == 0
    assert load("wfm_a") is first
    write(wfm_a="x = 2")  # the same size, in the same second
    assert modules.follow((("wfm_a", "2"),)) == 1
    assert load("wfm_a").x == 2


def test_others_that_took_over_its_names_are_imported_anew(write: Write) -> None:
    modules = Modules()
    write(wfm_b="x = 1", wfm_c="from wfm_b import x")
    modules.follow((("wfm_b", "1"), ("wfm_c", "1")))
    assert load("wfm_c").x == 1
    write(wfm_b="x = 20")
    modules.follow((("wfm_b", "2"),))
    modules.follow((("wfm_b", "2"), ("wfm_c", "1")))
    assert load("wfm_c").x == 20


def test_a_module_of_a_package_is_not_left_behind_as_its_attribute(write: Write) -> None:
    modules = Modules()
    write(wfm_p__d="x = 1")  # a namespace package: no part stands for it
    modules.follow((("wfm_p.d", "1"),))
    namespace: dict[str, object] = {}
    exec("from wfm_p import d\nold = d.x", namespace)
    write(wfm_p__d="x = 30")
    modules.follow((("wfm_p.d", "2"),))
    exec("from wfm_p import d\nnew = d.x", namespace)
    assert (namespace["old"], namespace["new"]) == (1, 30)


def test_what_came_in_unseen_is_not_trusted_and_what_was_there_is(write: Write) -> None:
    write(wfm_e="x = 1", wfm_f="x = 1")
    there = load("wfm_e")
    modules = Modules()
    unseen = load("wfm_f")
    modules.follow((("wfm_e", "1"),))
    assert load("wfm_e") is there
    modules.follow((("wfm_f", "1"),))
    assert load("wfm_f") is not unseen
    modules.follow((("wfm_e", "2"),))
    assert load("wfm_e") is not there


def test_a_body_that_names_a_function_of_a_module_follows_it(write: Write) -> None:
    def answer(digest: str, bench: Bench) -> object:
        code = Code("cell", "c", "y = f()", digest, (("module wfm_g", digest),), payload)
        job = replace(cell("", outputs=["y"]), code=code)
        lease = Hands(bench, "l", lambda _: None)
        finished, (value,) = bench.perform(lease, Attempt(1, 1, job, "r", (), ""), Breaker())
        assert isinstance(finished, Finished)
        return value.text

    write(wfm_g="def f(): return 1")
    payload = cloudpickle.dumps({"f": load("wfm_g").f})
    del sys.modules["wfm_g"]

    def bench(modules: Modules | None) -> Bench:
        return Bench("w", {}, _nowhere, None, lambda *_: None, modules=modules)

    modules = Modules()
    one, other = bench(modules), bench(modules)
    assert answer("1", one) == answer("1", other) == "1"
    write(wfm_g="def f(): return 22")
    assert answer("2", one) == "22"
    write(wfm_g="def f(): return 1")
    # Each session has its own bodies, and all share the process's modules.
    assert answer("1", other) == answer("1", one) == "1"
    kept = bench(None)
    loaded = load("wfm_g")
    write(wfm_g="def f(): return 333")
    answer("3", kept)
    assert load("wfm_g") is loaded


def _nowhere(source: object) -> Encoded:
    raise AssertionError(source)
