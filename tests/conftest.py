from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import psutil
import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("jupyter_wf.engine.testing")

# Shared machines pause at any moment: an example takes what it takes, to make it and to run it.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", unhurried, max_examples=50)
settings.register_profile("thorough", unhurried, max_examples=500)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

#: Python's own helpers, which it ends itself when it exits.
HELPERS = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")
PATIENCE = 60.0


def _children() -> list[psutil.Process]:
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            command = " ".join(child.cmdline())
            if child.status() != psutil.STATUS_ZOMBIE and not any(h in command for h in HELPERS):
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


def _threads() -> list[threading.Thread]:
    # The thread for output is one per process, and sleeps while nobody prints.
    return [
        thread
        for thread in threading.enumerate()
        if thread.name.startswith("jupyter-wf") and thread.name != "jupyter-wf-output"
    ]


@pytest.fixture(scope="session", autouse=True)
def nothing_left_over() -> Iterator[None]:
    """Fail, after the last test, if a process or a thread of ours that it started still runs."""
    before = set(_children())
    yield
    _, alive = psutil.wait_procs([c for c in _children() if c not in before], timeout=PATIENCE)
    left = [f"{c.pid}: {' '.join(c.cmdline())[:200]}" for c in alive if c.is_running()]
    assert not left, "Processes left over:\n" + "\n".join(left)
    for thread in _threads():
        thread.join(PATIENCE)
    threads = sorted(thread.name for thread in _threads())
    assert not threads, f"Threads left over: {threads}"
