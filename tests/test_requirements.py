"""What is asked of workers is the same in all ways to ask, and all of it travels."""

from __future__ import annotations

import inspect
from dataclasses import asdict
from typing import Any

from fields import any_of
from hypothesis import given

import jupyter_wf as wf
from jupyter_wf.engine.dask.wire import family_in, family_out
from jupyter_wf.engine.family import Family
from jupyter_wf.engine.testing import call
from jupyter_wf.requirements import Requirements, requirements

#: Something else than the default of everything that can be asked for.
ASKED: dict[str, Any] = {
    "partition": "gpu",
    "cpus": 2,
    "gpu": 0.5,
    "memory": "4GB",
    "gpu_memory": "8GB",
    "resources": {"license": 1},
    "retries": 2,
    "timeout": 60,
    "cache": False,
    "priority": 1,
    "retry_delay": 3,
    "retry_on": OSError,
    "no_retry_on": (FileNotFoundError, "remote.Lost"),
}


def test_everything_can_be_asked_for() -> None:
    asked, usual = asdict(requirements(**ASKED)), asdict(Requirements())
    assert [name for name in usual if asked[name] == usual[name]] == []
    assert {*inspect.signature(requirements).parameters} == {*ASKED}


def test_a_function_may_ask_for_everything() -> None:
    assert wf.task(**ASKED)(len).requirements == requirements(**ASKED)
    options = inspect.signature(wf.task).parameters
    for name, one in inspect.signature(requirements).parameters.items():
        assert options[name].default == one.default


@given(any_of(Requirements))
def test_what_an_added_task_asks_for_reaches_the_engine(asked: Requirements) -> None:
    job = call(len, "abc", **asdict(asked))
    family = Family((job,), ())
    sent = family_out(family, lambda _: 7)
    assert family_in(sent, {7: job.code}) == family
