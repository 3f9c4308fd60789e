"""Kill -9 at random moments: what was committed is never computed again, nor read torn."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import Any

import psutil
import pytest
import resume_program as program

from jupyter_wf import open_store

KILLS = 50
PATIENCE = 20.0


@contextmanager
def running(store: Path, round_: int) -> Iterator[subprocess.Popen[str]]:
    """Start the program of one round, and make sure that it ends."""
    command = [sys.executable, program.__file__, str(store), str(round_)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=store.parent
    )
    guard = Timer(120, process.kill)
    guard.start()
    try:
        with process:
            yield process
            process.kill()
    finally:
        guard.cancel()


def heard(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return the next line the program says."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "The program ended without a word."
    news: dict[str, Any] = json.loads(line)
    return news


def last_words(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return what a program that is gone still said."""
    assert process.stdout is not None
    said: dict[str, Any] = {}
    for line in process.stdout:
        said |= json.loads(line)
    return said


def kill(process: subprocess.Popen[str]) -> None:
    """Kill the program alone, and check that its workers end by themselves."""
    family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.wait(PATIENCE)
    _, alive = psutil.wait_procs(family, timeout=PATIENCE)
    for orphan in alive:
        orphan.kill()
    assert not alive, f"{len(alive)} processes outlived their owner by {PATIENCE} s"


def committed(path: Path, known: set[str]) -> set[str]:
    """Return the names of the tasks that the store holds; read values that are not yet known.

    Opens the store anew, and verifies the hash of every value that it reads.
    """
    store = open_store(path)
    try:
        names = set()
        for record in store.records():
            names.add(record.name)
            for _, stored in record.outputs if record.name not in known else ():
                store.get(stored.id)
        return names
    finally:
        store.close()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_fifty_kills(tmp_path: Path) -> None:
    store = tmp_path / "store"
    luck = random.Random(20261120)
    finished: set[str] = set()
    found: set[str] = set()
    partial, whole = 0, 0.0
    for round_ in range(KILLS + 1):
        with running(store, round_) as process:
            report = heard(process)
            names, states = set(report["names"]), report["states"]
            assert not report["wrong"]
            missing = dict.fromkeys(names - found, "stored")
            assert states == dict.fromkeys(found, "cached") | missing, "what is there is found"
            assert report["bodies"] == len(missing), "exactly what was not committed was computed"
            assert heard(process)["started"]
            if round_ == 0:
                whole = heard(process)["seconds"]
            # A kill may come at any moment of a round, whose length the earlier ones told.
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(luck.uniform(0, 1.1 * whole) if round_ else 0)
            kill(process)
            whole = last_words(process).get("seconds", whole)
        finished |= names
        held = committed(store, finished)
        assert finished <= held, "what was finished stays"
        found = held - finished
        partial += 0 < len(found) < program.TASKS
    assert partial > KILLS // 10, "the kills were to come in the middle"
