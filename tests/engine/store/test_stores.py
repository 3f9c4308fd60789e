"""Both stores keep the common promise; then, how they are opened."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from jupyter_wf.encodings import encode
from jupyter_wf.engine.abc import Store
from jupyter_wf.engine.store import open_store
from jupyter_wf.engine.store.testing import Reopen, StoreTests, make_record
from jupyter_wf.errors import StoreError


class TestMemoryStore(StoreTests):
    @pytest.fixture
    def store(self) -> Store:
        return open_store("memory://")

    @pytest.fixture
    def reopen(self) -> Reopen:
        return lambda store: store


class TestLocalZarrStore(StoreTests):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return open_store(tmp_path / "store")

    @pytest.fixture
    def reopen(self) -> Reopen:
        return lambda store: open_store(store.url)


def test_opening_makes_nothing(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    assert list(store.records()) == []
    assert list(tmp_path.iterdir()) == []


def test_what_is_made_says_what_it_is(tmp_path: Path) -> None:
    open_store(tmp_path / "store").put(1)
    assert (tmp_path / "store" / ".gitignore").read_text() == "*\n"
    assert '"version": 1' in (tmp_path / "store" / "format.json").read_text()


def test_a_path_and_its_url_are_one_store(tmp_path: Path) -> None:
    stored = open_store(tmp_path / "a b").put("value")
    assert open_store((tmp_path / "a b").as_uri()).get(stored.id) == "value"


def test_threads_share_a_store(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    jobs = [
        make_record(f"{thread} {n}", {"n": n, "X": np.full(150_000 if n == 0 else 3, thread)})
        for thread in range(4)
        for n in range(20)
    ]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda job: store.commit([job]), jobs))
    for held in (store, open_store(tmp_path)):
        assert [held.find(record.key) for record, _ in jobs] == [record for record, _ in jobs]
        for record, _ in jobs:
            thread, n = map(int, record.name.split())
            assert held.get(record.outputs[0][1].id) == n
            assert set(held.get(record.outputs[1][1].id)) == {thread}


_FORK = """
import os, sys
from jupyter_wf.engine.store import open_store
store = open_store(sys.argv[1])
store.put("parent")
child = os.fork()
if not child:
    store.put("child")
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
store.put("parent again")
"""


def test_a_forked_process_writes_for_itself(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", _FORK, str(tmp_path)], check=True)
    again = open_store(tmp_path)
    assert len(list((tmp_path / "journal").iterdir())) == 2
    for value in ("parent", "child", "parent again"):
        assert again.get(encode(value).id) == value


def test_small_values_need_no_zarr(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from jupyter_wf.engine.store import open_store\n"
        "store = open_store(sys.argv[1])\n"
        "assert store.get(store.put({'a': [1, 'x']}).id) == {'a': [1, 'x']}\n"
        "print([m for m in ('zarr', 'jax', 'cloudpickle') if m in sys.modules])\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    assert subprocess.run(command, capture_output=True, check=True).stdout.strip() == b"[]"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("s3://bucket/x", "use a directory, a file:// URL, or memory://"),
        ("file://elsewhere/x", "another machine"),
        ("", "path of a directory"),
    ],
)
def test_what_can_not_be_opened(url: str, message: str) -> None:
    with pytest.raises(StoreError, match=message):
        open_store(url)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"thesis.tex": "…"}, "no store of jupyter_wf"),
        ({"format.json": "{}"}, "no store of jupyter_wf"),
        ({"format.json": '{"format": "jupyter_wf store", "version": 99}'}, "format 99"),
    ],
)
def test_a_directory_of_other_things_is_left_alone(
    tmp_path: Path, files: dict[str, str], message: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(StoreError, match=message):
        open_store(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(files)


def test_a_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="is a file"):
        open_store(tmp_path / "file")
