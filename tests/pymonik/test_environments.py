from __future__ import annotations

import os
from typing import Any

import pytest
from engine.environments.conftest import packages  # noqa: F401 - a fixture

from jupyter_wf.errors import CaptureError, PackageError
from jupyter_wf.pymonik import Pymonik, Task, task

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("packages")]


@task
def look(name: str) -> tuple[int, str | None]:
    import tiny

    return tiny.version, os.environ.get(name)


@task
def look_further() -> Any:
    return look.invoke("WHO", delegate=True)


@pytest.mark.parametrize(
    ("pip", "version"), [(["tiny<2"], 1), ([("tiny", ">=2")], 2)], ids=["text", "pair"]
)
def test_tasks_and_those_that_they_invoke_are_in_it(pip: list[Any], version: int) -> None:
    around = {"pip": pip, "env_variables": {"WHO": "me"}}
    with Pymonik(local_session=True, environment=around):
        assert look.invoke("WHO").get() == (version, "me")
        assert look_further.invoke().get() == (version, "me")
    assert "WHO" not in os.environ


def test_what_can_not_be_had_is_said_when_the_session_begins() -> None:
    for around, error in (
        ({"pip": ["nowhere-to-be-found"]}, PackageError),
        ({"mount": ["/data"]}, CaptureError),
    ):
        with pytest.raises(error), Pymonik(local_session=True, environment=around):
            Task(lambda: 1, func_name="one").invoke()
