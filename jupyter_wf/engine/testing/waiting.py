"""Waiting in tests: for what is wanted itself, and longer than the slowest machine takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

#: Seconds after which a test gives up: many times what a busy machine takes, since a passing test
#: never waits for so long.
PATIENCE = 120.0
#: Seconds between two looks.
LOOK = 0.01


def wait_until(question: Callable[[], T | None], what: str, patience: float = PATIENCE) -> T:
    """Ask until the answer is true, and return it; fail, saying `what` never came true."""
    end = time.monotonic() + patience
    while not (answer := question()):
        assert time.monotonic() < end, f"After {patience:g} s it is still not true that {what}."
        time.sleep(LOOK)
    return answer


def wait_for_file(path: Path) -> None:
    """Wait until a task in another process has made a file."""
    wait_until(path.exists, f"there is {path}")
