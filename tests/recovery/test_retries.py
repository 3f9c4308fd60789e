"""Retries as users write them, on threads of this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import jupyter_wf as wf
from jupyter_wf.errors import CaptureError, TaskError
from jupyter_wf.requirements import requirements


class Busy(ConnectionError):
    pass


def failing(kind: type[BaseException], log: Path, **options: Any) -> Any:
    @wf.task(retry_delay=0.001, **options)
    def flaky() -> int:
        with log.open("a") as file:
            file.write("x")
        if len(log.read_text()) < 3:
            raise kind("not yet")
        return len(log.read_text())

    return flaky


@pytest.mark.parametrize(
    ("options", "runs"),
    [
        ({"retries": 5}, 3),
        ({"retries": 1}, 2),
        ({"retries": 5, "retry_on": ConnectionError}, 3),
        ({"retries": 5, "retry_on": (KeyError, "OSError")}, 3),
        ({"retries": 5, "retry_on": "Busy"}, 3),
        ({"retries": 5, "retry_on": (ValueError,)}, 1),
        ({"retries": 5, "no_retry_on": (ConnectionError,)}, 1),
        ({"retries": 5, "retry_on": OSError, "no_retry_on": Busy}, 1),
    ],
)
def test_which_exceptions_are_retried(tmp_path: Path, options: dict[str, Any], runs: int) -> None:
    log = tmp_path / "log"
    flaky = failing(Busy, log, **options)
    with wf.Workflow(wf.LocalEngine(), "memory://"):
        value = flaky.invoke()
        if runs == 3:
            assert value.get() == 3
        else:
            with pytest.raises(TaskError, match="not yet"):
                value.get()
    assert len(log.read_text()) == runs


def test_what_is_no_exception_is_refused() -> None:
    for wrong in (3, (int,), "not a name"):
        with pytest.raises(CaptureError, match="retry_on takes exceptions"):
            requirements(retry_on=wrong)
    with pytest.raises(CaptureError, match="retry_delay"):
        requirements(retry_delay=-1)
