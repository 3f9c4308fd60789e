"""A writer killed at any moment leaves no torn value, and all that it acknowledged."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jupyter_wf.engine.store import open_store
from jupyter_wf.engine.store.testing import same

KILLS = 50

#: Forks a writer for every number that it reads, so that each starts at once and on its own.
NURSERY = """
import os, sys
import numpy as np
from jupyter_wf.engine.store import layout, open_store
from jupyter_wf.engine.store.testing import make_record

def write(number):
    store = open_store(sys.argv[1])
    while True:
        batch = []
        for number in range(number, number + 5):
            value = {"n": number, "X": np.full(300_000 if number % 5 == 0 else 10, float(number))}
            batch.append(make_record(f"task {number}", {"small": number, "tree": value}))
        store.commit(batch)
        print(number, flush=True)
        number += 1

for line in sys.stdin:
    child = os.fork()
    if not child:
        print(os.getpid(), flush=True)
        write(int(line))
    os.waitpid(child, 0)
    print("dead", flush=True)
"""


def expected(number: int) -> object:
    return {"n": number, "X": np.full(300_000 if number % 5 == 0 else 10, float(number))}


@pytest.mark.slow
def test_a_killed_writer_leaves_no_torn_value(tmp_path: Path) -> None:
    chance = random.Random(0)
    acknowledged: set[int] = set()
    checked: set[str] = set()
    start = 0
    nursery = subprocess.Popen(
        [sys.executable, "-c", NURSERY, str(tmp_path / "store")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert nursery.stdin is not None
    assert nursery.stdout is not None
    for _ in range(KILLS):
        print(start, file=nursery.stdin, flush=True)
        writer = int(nursery.stdout.readline())
        # Not a wait for something to happen: the random moment at which it is killed.
        select.select([], [], [], chance.uniform(0.0, 0.3))
        os.kill(writer, signal.SIGKILL)
        for line in iter(nursery.stdout.readline, "dead\n"):
            acknowledged.update(range(int(line) - 4, int(line) + 1))

        store = open_store(tmp_path / "store")
        visible: set[int] = set()
        for record in store.records():
            number = int(record.name.removeprefix("task "))
            visible.add(number)
            assert store.find(record.key) == record
            if record.key not in checked:
                checked.add(record.key)
                small, tree = (stored.id for _, stored in record.outputs)
                assert store.get(small) == number
                assert same(store.get(tree), expected(number))
        assert acknowledged <= visible
        store.close()
        start = max(visible, default=-1) + 1
    nursery.stdin.close()
    nursery.stdout.close()
    assert nursery.wait() == 0
    assert len(acknowledged) > KILLS
    open_store(tmp_path / "store").put("still writable")
