"""Many processes commit the same: one record of each key, also when they are killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from jupyter_wf.engine.store import open_store, turn
from jupyter_wf.engine.store.testing import make_record
from jupyter_wf.engine.store.turn import Turn

PROGRAM = """
import sys
from jupyter_wf.engine.store import open_store
from jupyter_wf.engine.store.testing import make_record
store = open_store(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[2])):
    store.commit([make_record(f"task {number}", {"x": number}, time=float(number))])
    print(number, flush=True)
"""


def start(path: Path, count: int) -> subprocess.Popen[str]:
    program = [sys.executable, "-c", PROGRAM, str(path), str(count)]
    found = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert found.stdout is not None
    assert found.stdout.readline() == "ready\n"
    return found


@pytest.mark.slow
def test_processes_that_commit_the_same_add_one_record(tmp_path: Path) -> None:
    programs = [start(tmp_path, 60) for _ in range(4)]
    for program in programs:
        assert program.stdin is not None
        program.stdin.write("go\n")
        program.stdin.flush()
    victim = programs[0]
    assert victim.stdout is not None
    assert victim.stdout.readline()
    victim.send_signal(signal.SIGKILL)
    for program in programs:
        program.communicate(timeout=60)
    assert [program.returncode for program in programs] == [-signal.SIGKILL, 0, 0, 0]
    found = Counter(record.name for record in open_store(tmp_path).records())
    assert found == {f"task {number}": 1 for number in range(60)}


def test_who_took_it_is_told_whether_strangers_did(tmp_path: Path) -> None:
    turns = {name: Turn(tmp_path / "turn") for name in ("a1", "a2", "b")}
    told = []
    for name in ("a1", "a1", "a2", "a1", "a2", "b", "a1", "a1", "a2", "b"):
        with turns[name].taken(name[0]) as strangers:
            told.append(strangers)
    assert told == [True, False, True, False, False, True, True, False, True, True]


def test_without_locks_each_looks_every_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int, how: int) -> None:
        raise OSError(turn.errno.ENOLCK, "No locks available")

    monkeypatch.setattr(turn.fcntl, "flock", refuse)
    store, other = open_store(tmp_path), open_store(tmp_path)
    record, values = make_record("fit", {"m": 1})
    store.commit([(record, values)])
    other.commit([(record, values)])
    store.commit([make_record("more", {"m": 2})])
    assert [r.name for r in store.records()] == ["fit", "more"]
