from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import jupyter_wf
from jupyter_wf.closure import function_code
from tests.closure.cells import BASE, code_of, notebook

RUN = "import pickle, sys; print(pickle.load(sys.stdin.buffer)(3))"


def run_elsewhere(payload: bytes, folder: Path) -> str:
    """Call a pickled function in a process that has none of our files."""
    ran = subprocess.run(
        [sys.executable, "-c", RUN], input=payload, capture_output=True, cwd=folder, check=True
    )
    return ran.stdout.decode().strip()


@pytest.mark.slow
def test_a_payload_runs_in_a_process_without_the_users_files(
    tmp_path: Path, module: Callable[[str, str], None]
) -> None:
    module("wf_local_a", "from wf_local_b import twice\ndef thrice(x):\n    return twice(x) + x")
    module("wf_local_b", "def twice(x):\n    return 2 * x")
    source = BASE.replace("import functools", "import wf_local_a\nimport functools")
    source += "from wf_local_b import twice\n"
    source += "def task(x):\n    return wf_local_a.thrice(x), twice(x), fib(x), Child().double"
    assert run_elsewhere(code_of(source).payload, tmp_path) == "(9, 6, 2, 21)"


def test_caches_and_cached_properties_are_pickled() -> None:
    space = notebook(
        """
        import functools
        @functools.cache
        def fib(n):
            return n if n < 2 else fib(n - 1) + fib(n - 2)
        class Box:
            @functools.cached_property
            def value(self):
                return fib(30)
        def task():
            return Box().value
        """
    )
    assert pickle.loads(function_code(space["task"]).payload)() == 832_040


def test_modules_of_a_class_of_their_own_are_pickled_by_name() -> None:
    space = notebook(
        """
        import jupyter_wf as wf
        def task():
            return wf.__name__, wf.context
        """
    )
    name, context = pickle.loads(function_code(space["task"]).payload)()
    assert name == "jupyter_wf"
    assert context is jupyter_wf.context
