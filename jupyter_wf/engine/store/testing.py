"""The promise of a store as tests: subclass `StoreTests` and define its two fixtures."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import PIL.Image
import pytest
import scipy.sparse as sp
import xarray as xr

from jupyter_wf.encodings import encode
from jupyter_wf.engine.abc import Store
from jupyter_wf.errors import MissingValueError, StoreError
from jupyter_wf.records import Record

Reopen = Callable[[Store], Store]

#: Small and large (over a megabyte) values of every kind.
VALUES: Mapping[str, Any] = {
    "none": None,
    "true": True,
    "one": 1,
    "big integer": -(3**400),
    "float": -0.0,
    "nan": float("nan"),
    "complex": complex(float("inf"), -0.0),
    "text": "naïve \ud800 \n text",
    "bytes": b"\x00\xff" * 200,
    "nested": {"a": [1, (2.5, None)], 3: {"x", "y"}, (1, "k"): frozenset([b"z"])},
    "array": np.arange(12.0).reshape(3, 4),
    "no dimensions": np.array(7, dtype="<i2"),
    "empty": np.zeros((0, 3), dtype="<f4"),
    "texts": np.array([["ab", "ç"], ["", "d"]]),
    "dates": np.array(["2020-01-01", "NaT"], dtype="<M8[D]"),
    "records": np.array([(1, [2.0, 3.0])], dtype=[("i", "<i4"), ("v", "<f8", (2,))]),
    "scalar": np.float32(1.5),
    "tree of arrays": {"X": np.ones((2, 2)), "x": np.zeros(3), "p": {"w w": np.arange(2)}},
    "large array": np.arange(300_000, dtype="<f8").reshape(300, 1000),
    "large zeros": np.full((1000, 1000), -0.0),
    "large texts": np.array(["ab", "cde"] * 100_000),
    "large records": np.zeros(200_000, dtype=[("a", "<i1"), ("b", "<f8")]),
    "large tree": {"X": np.arange(200_000.0), "x": [np.array(3), {"y": (np.ones((0, 2)),)}]},
    "large, in uneven chunks": np.arange(2_100_001, dtype="<f8").reshape(-1, 1),
    "large, in few long rows": np.arange(6_000_002, dtype="<i8").reshape(2, 3_000_001),
    "large bytes": bytes(range(256)) * 8000,
    "long list": list(range(200_000)),
    "sparse": sp.csr_array(np.eye(3)),
    "sparse, nested": [{"M": sp.coo_matrix(np.eye(3))}, sp.csc_array((0, 2))],
    "large sparse": {"M": sp.eye_array(200_000, format="csr"), "M.data": np.arange(3)},
    "frame": pd.DataFrame({"n": [1, 2], "t": ["a", None], "tree": [0.5, 1.5]}),
    "series, nested": {"s": pd.Series(pd.array([1, None], dtype="Int64"), name="s")},
    "large frame": pd.DataFrame({"n": range(60_000), "t": ["a", "long" * 9] * 30_000}),
    "large index": pd.DataFrame({"": 1.0}, index=pd.Index(map(str, range(99_000)), name="a/b")),
    "dataset": xr.Dataset({"t": ("x", [0.5, 1.5])}, coords={"x": ["a", "b"]}, attrs={"n": 1}),
    "large dataset": [xr.DataArray(np.ones((400, 400)), dims=("x", "y"), coords={"x": range(400)})],
    "picture": PIL.Image.new("RGB", (3, 2), (1, 2, 3)),
    "large picture": {"p": PIL.Image.new("F", (700, 600), 0.5)},
    "pickled": {"t": slice(1, 2)},
    "large pickle": [slice(1, 2), "x" * 2_000_000],
}


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal in every bit that an encoding keeps, types included."""
    if type(one) is not type(other):
        return False
    if isinstance(one, (np.ndarray, np.generic)):
        return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())
    if type(one).__module__.startswith(("scipy.sparse.", "jax.experimental.sparse.")):
        return one.shape == other.shape and all(
            same(np.asarray(ours), np.asarray(theirs))
            for ours, theirs in zip(_arrays(one), _arrays(other), strict=True)
        )
    if isinstance(one, (pd.DataFrame, pd.Series)):
        check = pd.testing.assert_frame_equal
        if isinstance(one, pd.Series):
            check = pd.testing.assert_series_equal
        check(one, other, check_exact=True)
        return same(one.attrs, other.attrs)
    if isinstance(one, (xr.DataArray, xr.Dataset)):
        return bool(one.identical(other))
    if isinstance(one, float):
        both_nan = math.isnan(one) and math.isnan(other)
        return both_nan or struct.pack("<d", one) == struct.pack("<d", other)
    if isinstance(one, complex):
        return same(one.real, other.real) and same(one.imag, other.imag)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return same(list(one.items()), list(other.items()))
    return bool(one == other)


def _arrays(sparse: Any) -> list[Any]:
    names = ("data", "coords", "indices", "indptr")
    found = [getattr(sparse, name) for name in names if hasattr(sparse, name)]
    return [array for part in found for array in (part if isinstance(part, tuple) else (part,))]


def make_record(
    name: str, values: Mapping[str, Any], *, time: float = 1.0, recipe: str = ""
) -> tuple[Record, dict[str, Any]]:
    """Return a record of a task that made `values`, and these by content id."""
    encoded = {output: encode(value) for output, value in values.items()}
    key = encode(("key", name)).id
    return (
        Record(
            key,
            recipe or encode(("recipe", name)).id,
            name,
            (("code", "1"), ("numpy", "2.0")),
            (("X", "3" * 40, "4" * 40),),
            tuple((output, e.stored) for output, e in encoded.items()),
            run="run",
            host="host",
            worker="worker",
            seconds=0.5,
            time=time,
        ),
        {e.id: e for e in encoded.values()},
    )


RAN: list[str] = []


def leave_a_trace() -> str:
    """Say that somebody unpickled a `Traced`."""
    RAN.append("unpickled")
    return "unpickled"


class Traced:
    """Leaves a trace when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[], str], tuple[()]]:
        return leave_a_trace, ()


class StoreTests:
    """What every store does."""

    @pytest.fixture
    def store(self) -> Store:
        """Return an empty store."""
        raise NotImplementedError("A subclass of StoreTests defines the fixture 'store'.")

    @pytest.fixture
    def reopen(self) -> Reopen:
        """Return a function from a store to the same store as another process would see it."""
        raise NotImplementedError("A subclass of StoreTests defines the fixture 'reopen'.")

    @pytest.mark.parametrize("name", VALUES)
    def test_a_value_comes_back(self, store: Store, reopen: Reopen, name: str) -> None:
        value = VALUES[name]
        stored = store.put(value)
        assert stored == encode(value).stored
        for held in (store, reopen(store)):
            assert held.stored(stored.id) == stored
            assert same(held.get(stored.id), value)

    def test_what_was_put_is_what_stays(self, store: Store) -> None:
        array = np.zeros(10)
        stored = store.put(array)
        array[0] = 1
        with pytest.raises(ValueError, match="read-only"):
            store.get(stored.id)[1] = 2
        assert same(store.get(stored.id), np.zeros(10))

    def test_a_committed_record_is_found(self, store: Store, reopen: Reopen) -> None:
        record, values = make_record("fit", {"m": [1, 2], "s": np.arange(3)})
        assert store.find(record.key) is None
        store.commit([(record, values)])
        for held in (store, reopen(store)):
            assert held.find(record.key) == record
            assert held.find_recipe(record.recipe) == record
            assert held.last("fit") == record
            assert list(held.records()) == [record]
            assert same(held.get(record.outputs[0][1].id), [1, 2])

    def test_values_may_come_unencoded(self, store: Store) -> None:
        record, values = make_record("fit", {"m": [1, 2]})
        store.commit([(record, {content: [1, 2] for content in values})])
        assert store.find(record.key) == record

    def test_records_are_in_order_and_the_newest_wins(self, store: Store, reopen: Reopen) -> None:
        late, values = make_record("fit", {"m": "late"}, time=3.0)
        early, more = make_record("fit", {"m": "early"}, time=1.0)
        other, others = make_record("load", {"X": 1}, time=2.0, recipe=late.recipe)
        store.commit([(late, values), (early, more), (other, others)])
        for held in (store, reopen(store)):
            assert [r.time for r in held.records()] == [1.0, 2.0, 3.0]
            assert held.find(late.key) == late
            assert held.find_recipe(late.recipe) == late
            assert held.last("fit") == late
            assert held.last("load") == other
            assert held.last("nothing") is None

    def test_an_equal_value_is_shared(self, store: Store) -> None:
        first, values = make_record("a", {"x": 1})
        second, _ = make_record("b", {"x": 1})
        store.commit([(first, values)])
        store.commit([(second, {})])
        assert store.find(second.key) == second

    def test_no_record_without_its_values(self, store: Store, reopen: Reopen) -> None:
        good, values = make_record("good", {"x": 1})
        bad, _ = make_record("bad", {"y": 2})
        with pytest.raises(StoreError, match="'y' of task 'bad'"):
            store.commit([(good, values), (bad, {})])
        for held in (store, reopen(store)):
            assert held.find(bad.key) is None

    def test_a_value_that_changed_since_it_was_hashed_is_refused(self, store: Store) -> None:
        array = np.zeros(3)
        record, values = make_record("fit", {"m": array})
        array[0] = 1
        with pytest.raises(StoreError, match="changed after it was hashed"):
            store.commit([(record, values)])
        assert store.find(record.key) is None

    def test_a_missing_value_is_named(self, store: Store) -> None:
        nobody = "0" * 40
        assert store.stored(nobody) is None
        with pytest.raises(MissingValueError, match=nobody):
            store.get(nobody)
        with pytest.raises(MissingValueError, match=nobody):
            store.zarr(nobody)

    @pytest.mark.parametrize(
        "name", ["../../etc/passwd", "", "A" * 40, "0" * 39, "0" * 41, "0/" * 20]
    )
    def test_only_a_content_id_is_one(self, store: Store, name: str) -> None:
        for ask in (store.get, store.stored, store.zarr):
            with pytest.raises(StoreError, match="not a content id"):
                ask(name)

    @pytest.mark.parametrize("size", [10, 300_000])
    def test_an_array_is_a_zarr_array(self, store: Store, size: int) -> None:
        value = np.arange(size, dtype="<f8")
        array = store.zarr(store.put(value).id)
        assert same(array[...], value)
        with pytest.raises((ValueError, PermissionError), match=r"read.?only"):
            array[0] = 1

    @pytest.mark.parametrize("size", [10, 300_000])
    def test_a_tree_is_a_zarr_group(self, store: Store, size: int) -> None:
        value: dict[str, Any] = {"X": np.arange(size, dtype="<f8"), "p": {"w": np.arange(3)}}
        group = store.zarr(store.put(value).id)
        assert same(group["X"][...], value["X"])
        assert same(group["p.w"][...], value["p"]["w"])
        about: Any = dict(group.attrs)["jupyter_wf"]
        assert about["kind"] == "tree"
        with pytest.raises((ValueError, PermissionError), match=r"read.?only"):
            group.create_array("more", shape=(1,), dtype="f8")

    def test_only_get_unpickles(self, store: Store, reopen: Reopen) -> None:
        RAN.clear()
        record, values = make_record("traced", {"x": Traced()})
        store.commit([(record, values)])
        (content,) = values
        held = reopen(store)
        held.refresh()
        stored = held.stored(content)
        assert stored is not None
        assert stored.kind == "pickle"
        assert held.find(record.key) == record
        assert list(held.records()) == [record]
        held.zarr(content)
        assert RAN == []
        assert held.get(content) == "unpickled"
        assert RAN == ["unpickled"]

    def test_of_equal_records_the_first_stays(self, store: Store, reopen: Reopen) -> None:
        record, values = make_record("fit", {"m": np.arange(300_000.0)}, time=1.0)
        late, _ = make_record("fit", {"m": np.arange(300_000.0)}, time=2.0)
        other = reopen(store)
        store.commit([(record, values), (late, values)])
        other.commit([(late, values)])
        store.commit([(late, values)])
        for held in (store, other, reopen(store)):
            held.refresh()
            assert list(held.records()) == [record]
            assert held.find(record.key) == record
            assert same(held.get(record.outputs[0][1].id), np.arange(300_000.0))

    def test_another_result_of_one_key_is_recorded(self, store: Store, reopen: Reopen) -> None:
        first, values = make_record("draw", {"x": 1}, time=1.0)
        second, others = make_record("draw", {"x": 2}, time=2.0)
        store.commit([(first, values)])
        reopen(store).commit([(second, others)])
        store.refresh()
        assert list(store.records()) == [first, second]
        assert store.find(first.key) == second
