"""Whatever happens to its files, a store says so or misses: it never returns a wrong value."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jupyter_wf.encodings import encode
from jupyter_wf.engine.abc import Store
from jupyter_wf.engine.store import open_store
from jupyter_wf.engine.store.testing import make_record, same
from jupyter_wf.errors import CorruptValueError, MissingValueError, StoreError

LARGE = np.arange(4_500_000, dtype="<f8")
SMALL = {"a": np.arange(100)}


def flip(path: Path, at: int) -> None:
    """Change one byte of a file."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    """Take away the second half of a file."""
    os.truncate(path, path.stat().st_size // 2)


def value_directory(root: Path) -> Path:
    (found,) = (root / "data").glob("*/*")
    return found


def chunk(root: Path, *position: int) -> Path:
    return value_directory(root).joinpath("c", *map(str, position))


def the_pack(root: Path) -> Path:
    (found,) = (root / "packs").iterdir()
    return found


def metadata(root: Path) -> Path:
    return value_directory(root) / "zarr.json"


Damage = tuple[Any, Callable[[Path], object], type[StoreError]]
DAMAGE: dict[str, Damage] = {
    "flipped byte": (LARGE, lambda root: flip(chunk(root, 1), 1000), CorruptValueError),
    "truncated chunk": (LARGE, lambda root: cut(chunk(root, 0)), CorruptValueError),
    "deleted chunk": (LARGE, lambda root: chunk(root, 2).unlink(), CorruptValueError),
    "damaged metadata": (LARGE, lambda root: cut(metadata(root)), CorruptValueError),
    "no metadata": (LARGE, lambda root: metadata(root).unlink(), CorruptValueError),
    "deleted value": (LARGE, lambda root: shutil.rmtree(value_directory(root)), MissingValueError),
    "flipped byte in pack": (SMALL, lambda root: flip(the_pack(root), 400), CorruptValueError),
    "truncated pack": (SMALL, lambda root: cut(the_pack(root)), MissingValueError),
    "deleted pack": (SMALL, lambda root: the_pack(root).unlink(), MissingValueError),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_noticed_and_healed(tmp_path: Path, name: str) -> None:
    value, damage, error = DAMAGE[name]
    record, values = make_record("fit", {"m": value})
    content = record.outputs[0][1].id
    open_store(tmp_path).commit([(record, values)])
    damage(tmp_path)
    store = open_store(tmp_path)
    with pytest.raises(error, match=content):
        store.get(content)
    assert store.find(record.key) is None
    assert store.find_recipe(record.recipe) is None
    assert store.stored(content) is None
    assert store.last("fit") == record
    store.commit([(record, values)])
    for held in (store, open_store(tmp_path)):
        assert held.find(record.key) == record
        assert same(held.get(content), value)


@pytest.mark.parametrize("value", [LARGE, SMALL], ids=["large", "small"])
def test_what_vanishes_after_it_was_found_is_missing(tmp_path: Path, value: Any) -> None:
    record, values = make_record("fit", {"m": value})
    open_store(tmp_path).commit([(record, values)])
    store = open_store(tmp_path)
    assert store.find(record.key) == record
    shutil.rmtree(tmp_path / "data")
    shutil.rmtree(tmp_path / "packs")
    with pytest.raises(MissingValueError):
        store.get(record.outputs[0][1].id)
    assert store.find(record.key) is None


def test_refresh_sees_what_vanished(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    record, values = make_record("fit", {"m": LARGE, "s": SMALL})
    store.commit([(record, values)])
    assert store.find(record.key) == record
    shutil.rmtree(tmp_path / "data")
    store.refresh()
    assert store.find(record.key) is None


def test_a_torn_journal_costs_its_last_commit_alone(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    records = [make_record(name, {"x": name}, time=ord(name)) for name in ("a", "b", "c")]
    for one in records:
        store.commit([one])
    (journal,) = (tmp_path / "journal").iterdir()
    os.truncate(journal, journal.stat().st_size - 5)
    again = open_store(tmp_path)
    assert [r.name for r in again.records()] == ["a", "b"]
    again.commit([records[2]])
    assert [r.name for r in open_store(tmp_path).records()] == ["a", "b", "c"]


def test_a_journal_of_strange_things_is_passed_over(tmp_path: Path) -> None:
    from jupyter_wf.engine.journal import FrameFile, pack

    store = open_store(tmp_path)
    record, values = make_record("fit", {"m": 1})
    store.commit([(record, values)])
    strange = FrameFile(tmp_path / "journal" / "other-1-x.journal")
    outside = ("v", "e" * 40, "json", 1, "1", "../../outside", 0, 10)
    strange.append(
        [pack(7), pack([7, "x", ["r"], ["r", 1, 2, 3, 4, 5, 6], ["p", 3], ["later", {}], outside])]
    )
    strange.close()
    again = open_store(tmp_path)
    assert list(again.records()) == [record]
    with pytest.raises(MissingValueError):
        again.get("e" * 40)


def test_a_value_that_is_another_is_refused(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    one, two = store.put(LARGE), store.put(LARGE + 1)
    path = tmp_path / "data" / one.id[:2] / one.id
    shutil.rmtree(path)
    shutil.copytree(tmp_path / "data" / two.id[:2] / two.id, path)
    with pytest.raises(CorruptValueError, match="have changed"):
        open_store(tmp_path).get(one.id)


def test_a_value_out_of_the_store_is_refused(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    stored = store.put(LARGE)
    path = value_directory(tmp_path / "store")
    path.rename(tmp_path / "outside")
    path.symlink_to(tmp_path / "outside")
    for ask in (store.get, store.zarr):
        with pytest.raises(StoreError, match="out of the store"):
            ask(stored.id)


def test_a_link_within_a_value_is_refused(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    stored = store.put(LARGE)
    part = chunk(tmp_path / "store", 0)
    part.rename(tmp_path / "outside")
    part.symlink_to(tmp_path / "outside")
    for ask in (store.get, store.zarr):
        with pytest.raises(StoreError, match="links"):
            ask(stored.id)


@pytest.mark.parametrize("name", ["data", "packs", "journal", "tmp"])
def test_nothing_is_written_out_of_the_store(tmp_path: Path, name: str) -> None:
    root = tmp_path / "store"
    open_store(root).put(1)
    shutil.rmtree(root / name)
    (tmp_path / "outside").mkdir()
    (root / name).symlink_to(tmp_path / "outside")
    with pytest.raises(StoreError, match="out of the store"):
        open_store(root).put(LARGE)
    assert list((tmp_path / "outside").iterdir()) == []


@pytest.mark.parametrize("value", [LARGE, SMALL], ids=["large", "small"])
def test_a_full_disk_is_told_and_recovered_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: Any
) -> None:
    store: Store = open_store(tmp_path)
    store.put("something")
    record, values = make_record("fit", {"m": value})

    def no_space(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("jupyter_wf.engine.journal.sync_file", no_space)
        patch.setattr("jupyter_wf.engine.store.root.sync_file", no_space)
        with pytest.raises(StoreError, match="disk is full: free some space"):
            store.commit([(record, values)])
    assert store.find(record.key) is None
    assert open_store(tmp_path).find(record.key) is None
    store.commit([(record, values)])
    for held in (store, open_store(tmp_path)):
        assert same(held.get(record.outputs[0][1].id), value)


def test_a_path_that_can_not_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"Can't .* the store at"):
        open_store(tmp_path / "file" / "store").put(1)


def test_what_the_dead_left_is_swept_away(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.put(1)
    (mine,) = (tmp_path / "tmp").iterdir()
    host = mine.name.partition("-")[0]
    for name in (f"{host}-{2**22 + 1}-dead", "elsewhere-1-alive"):
        (tmp_path / "tmp" / name).mkdir()
    open_store(tmp_path).put(2)
    left = {path.name for path in (tmp_path / "tmp").iterdir()}
    assert {mine.name, "elsewhere-1-alive"} < left
    assert f"{host}-{2**22 + 1}-dead" not in left
    store.close()
    assert not mine.exists()


def test_equal_values_are_written_once(tmp_path: Path) -> None:
    one, two = open_store(tmp_path), open_store(tmp_path)
    for store in (one, two):
        store.put(LARGE)
        store.put(SMALL)
        store.put(SMALL)
    assert len(list((tmp_path / "data").glob("*/*"))) == 1
    assert [list(path.iterdir()) for path in (tmp_path / "tmp").iterdir()] == [[], []]
    assert encode(LARGE).id == value_directory(tmp_path).name
