"""Frames come back exactly, however memory held them, and AnnData reads what is on disk."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from anndata.io import read_elem
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from hypothesis.extra import pandas as pdst
from pandas.testing import assert_frame_equal, assert_index_equal, assert_series_equal

from jupyter_wf.encodings import content_id, decode, encode, registry
from jupyter_wf.engine.store import open_store
from jupyter_wf.engine.store.layout import open_value, read, write
from jupyter_wf.engine.store.testing import same
from jupyter_wf.errors import StoreError

# -- columns --------------------------------------------------------------------------------------

COLUMNS: dict[str, Any] = {
    "bool": [True, False],
    "int8": np.array([1, -2], "i1"),
    "uint64": np.array([1, 2**64 - 1], "u8"),
    "float32 with nan": np.array([1.5, np.nan], "f4"),
    "complex": np.array([1j, np.nan]),
    "nullable integers": pd.array([2**63 - 1, None], dtype="Int64"),
    "nullable integers, none missing": pd.array([1, 2], dtype="UInt8"),
    "nullable floats": pd.array([0.5, None], dtype="Float32"),
    "nullable truth": pd.array([None, True], dtype="boolean"),
    "text": pd.array(["a", "ç\n\x00"], dtype="str"),
    "text with a gap": pd.array(["a", None], dtype="str"),
    "strings": pd.array(["a", "long" * 1000], dtype="string"),
    "strings with a gap": pd.array([None, ""], dtype="string"),
    "objects that are text": pd.Series(["a", "b"], dtype=object).array,
    "categories": pd.Categorical(["x", None], categories=["y", "x"]),
    "categories in order": pd.Categorical(["x", "y"], categories=["y", "x"], ordered=True),
    "categories of dates": pd.Categorical(pd.to_datetime(["2020-01-01", "2021-01-01"])),
    "categories of a range": pd.Categorical.from_codes([2, 0], categories=pd.RangeIndex(3)),
    "no categories": pd.Categorical([None, None], categories=pd.Index([], dtype=object)),
    "dates in s": pd.array(np.array(["2020-01-01", "NaT"], "M8[s]")),
    "dates in ns": pd.array(np.array(["2020-01-01", "NaT"], "M8[ns]")),
    "dates in a zone": pd.to_datetime(["2020-03-29 00:30", None]).tz_localize("Europe/Paris"),
    "dates in UTC": pd.to_datetime(["2020-01-01", None]).tz_localize("UTC").as_unit("ms"),
    "dates in a zone called UTC": pd.to_datetime(["2020-01-01", None]).tz_localize(ZoneInfo("UTC")),
    "dates at +02:30": pd.to_datetime(["2020-01-01", None]).tz_localize("+02:30"),
    "durations": pd.to_timedelta([1, None]),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_comes_back(name: str) -> None:
    series = pd.Series(COLUMNS[name], name="x", index=["one", "two"])
    for one in (series, series[:0]):
        encoded = encode(one, pickle=False)
        back = decode(encoded)
        assert_series_equal(back, one, check_exact=True, check_freq=True)
        assert encode(back).id == encoded.id
        assert_frame_equal(decode(encode(one.to_frame(), pickle=False)), one.to_frame())
    zone = getattr(series.dtype, "tz", None)
    assert repr(getattr(decode(encode(series)).dtype, "tz", None)) == repr(zone)


@pytest.mark.parametrize(
    "index",
    [
        pd.RangeIndex(3),
        pd.RangeIndex(5, -1, -3, name="n"),
        pd.Index([3, 1, 2], name=("a", 1)),
        pd.Index([0.5, np.nan]),
        pd.Index(["a", "b"], name="name"),
        pd.Index(["a", "b"], dtype=object),
        pd.Index(["a", "a"]),
        pd.Index([]),
        pd.CategoricalIndex(["a", "b"], ordered=True),
        pd.date_range("2020", periods=3, freq="2h"),
        pd.date_range("2020", periods=3, freq="W-TUE", tz="Europe/Paris", name="when"),
        pd.DatetimeIndex(["2020-01-01", "2020-01-02"]),
        pd.timedelta_range("1h", periods=3),
    ],
    ids=lambda index: f"{type(index).__name__} {index.dtype}",
)
def test_an_index_comes_back(index: Any) -> None:
    back = decode(encode(index, pickle=False))
    assert_index_equal(back, index, exact=True)
    assert getattr(back, "freq", None) == getattr(index, "freq", None)
    frame = pd.DataFrame({"x": np.arange(len(index))}, index=index)
    assert_frame_equal(decode(encode(frame, pickle=False)), frame, check_exact=True)
    turned = frame.T
    assert_frame_equal(decode(encode(turned, pickle=False)), turned, check_exact=True)


# -- frames ---------------------------------------------------------------------------------------

dtypes = st.sampled_from(["?", "i1", "i8", "u4", "f4", "f8", "M8[ns]", "m8[ns]", "str", "object"])
columns = st.lists(
    st.builds(
        lambda name, dtype: pdst.column(
            name,
            dtype=np.dtype(object) if dtype in {"str", "object"} else np.dtype(dtype),
            elements=st.text(st.characters(codec="utf-8"), max_size=3)
            if dtype in {"str", "object"}
            else None,
        ),
        st.text(st.characters(codec="utf-8"), max_size=3) | st.integers(0, 5),
        dtypes,
    ),
    max_size=5,
    unique_by=lambda column: column.name,
)
indexes = pdst.range_indexes(max_size=5) | pdst.indexes(dtype=int, max_size=5)


@given(columns.flatmap(lambda some: pdst.data_frames(some, index=indexes)), st.data())
def test_a_frame_comes_back(frame: pd.DataFrame, data: st.DataObject) -> None:
    encoded = encode(frame, pickle=False)
    back = decode(encoded)
    assert_frame_equal(back, frame, check_exact=True, check_column_type=True)
    assert encode(back).id == encoded.id
    # The same columns, one block each.
    order = list(range(frame.shape[1]))
    apart = pd.concat([frame.iloc[:, [at]] for at in order], axis=1) if order else frame
    assert encode(apart).id == encoded.id
    turned = data.draw(st.permutations(order))
    moved = frame.iloc[:, turned]
    assert (encode(moved).id == encoded.id) == (turned == order)


@given(
    st.lists(
        st.text(max_size=3)
        | st.sampled_from(["tree", "leaf.1", "_index", "c", "é" * 60, "zarr.json", "column-0", "A"])
        | st.integers(),
        min_size=1,
        max_size=6,
    ),
    st.text(max_size=3) | st.none(),
)
def test_a_column_may_have_any_name(tmp_path_factory: Any, labels: Any, name: Any) -> None:
    frame = pd.DataFrame(index=pd.Index(["r", "s"], dtype=object, name=name))
    columns = [pd.Series(pd.array([0.5, None], dtype="Float64"), index=frame.index)] * len(labels)
    frame = pd.concat(columns, axis=1)
    frame.columns = pd.Index(labels, dtype=object)
    encoded = encode(frame, pickle=False)
    path = str(tmp_path_factory.mktemp("any") / "value")
    write(encoded, path)
    found = read(open_value(path))
    assert content_id(found.kind, found.text, found.leaves) == encoded.id
    assert read_elem(open_value(path)).shape == frame.shape


def test_a_frame_may_have_labels_twice_and_attributes() -> None:
    frame = pd.DataFrame([[1, "a"], [2, "b"]], columns=["x", "x"])
    frame.attrs = {"unit": "m", "weights": np.arange(3)}
    back = decode(encode(frame, pickle=False))
    assert_frame_equal(back, frame)
    assert same(back.attrs, frame.attrs)
    series = frame.iloc[:, 0]
    assert decode(encode(series)).attrs["unit"] == "m"


@pytest.mark.parametrize("dtype", ["f4", "i8", "?"])
def test_many_columns_are_one_matrix(dtype: str) -> None:
    frame = pd.DataFrame(np.arange(600).reshape(3, 200).astype(dtype), index=list("abc"))
    encoded = encode(frame, pickle=False)
    assert len(encoded.leaves) == 2
    assert_frame_equal(decode(encoded), frame)
    apart = pd.concat([frame.iloc[:, [at]] for at in range(200)], axis=1)
    assert encode(apart).id == encoded.id


def test_what_is_missing_hides_nothing() -> None:
    one, two = pd.array([1, 2], dtype="Int64"), pd.array([1, 3], dtype="Int64")
    one[1] = two[1] = None
    assert encode(pd.Series(one)).id == encode(pd.Series(two)).id


def test_a_frame_that_is_read_is_the_reader_s_own() -> None:
    encoded = encode(pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]}))
    frame = decode(encoded)
    frame.loc[0, "a"] = 7.0
    frame.loc[0, "b"] = "z"
    assert decode(encoded).loc[0].tolist() == [1.0, "x"]


def levels() -> pd.DataFrame:
    return pd.DataFrame({"x": [1]}, index=pd.MultiIndex.from_tuples([("a", 1)]))


@pytest.mark.parametrize(
    "value",
    [
        levels(),
        levels().T,
        pd.Series(["a", None], dtype=object),
        pd.Series(["a", 1], dtype=object),
        pd.Series(pd.period_range("2020", periods=2, freq="M")),
        pd.Series(pd.arrays.SparseArray([0, 1])),
        pd.Series(pd.interval_range(0, 2)),
        pd.Series([1], name=pd.Timestamp(2020, 1, 1)),
        pd.Series(["a\ud800"], dtype=object),
        pd.Series([1]).set_flags(allows_duplicate_labels=False),
        pd.Series(pd.to_datetime(["2020"]).tz_localize(timezone(timedelta(hours=1), "name"))),
    ],
    ids=lambda value: f"{type(value).__name__} {value.squeeze()}"[:50],
)
def test_others_are_pickled(value: Any) -> None:
    encoded = encode(value)
    assert encoded.kind == "pickle"
    back = decode(encoded)
    assert type(back) is type(value)
    assert back.equals(value)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (pd.DataFrame({"a": [1], "b": ["x"]}), "DataFrame (1, 2): 'a' int64, 'b' str"),
        (pd.Series([1.5, 2.5]), "Series float64 of 2"),
        (pd.Index([1, 2, 3]), "Index int64 of 3"),
        ([pd.DataFrame()], "list of 1: DataFrame (0, 0)"),
    ],
)
def test_a_summary(value: Any, shown: str) -> None:
    assert encode(value).summary == shown


_ELSEWHERE = """
import pandas as pd
from jupyter_wf.encodings import encode
print(encode(pd.DataFrame({"a": pd.Categorical(["x", None]), "b": ["t", None]}), pickle=False).id)
"""


def test_an_older_pandas_has_no_typed_form(monkeypatch: pytest.MonkeyPatch) -> None:
    def string_dtype(storage: str) -> None:
        """Take what it took before there was another missing value."""

    texts = pd.Series(["a", None])
    typed = encode(texts)
    registry._kind_of_type.cache_clear()
    with monkeypatch.context() as older:
        older.setattr(pd, "__version__", "2.2.3")
        assert encode(texts).kind == "pickle"
        older.setattr(pd, "StringDtype", string_dtype)
        with pytest.raises(StoreError, match=r"pandas 2.2.3 is installed, and 3 is needed"):
            decode(typed)
    registry._kind_of_type.cache_clear()
    assert encode(texts).id == typed.id


def test_ids_do_not_depend_on_the_process() -> None:
    found = {
        subprocess.run(
            [sys.executable, "-c", _ELSEWHERE],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


# -- on disk --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COLUMNS)
def test_anndata_reads_ours(name: str) -> None:
    frame = pd.DataFrame({"x": COLUMNS[name], "n": [1, 2]}, index=pd.Index(["a", "b"], name="key"))
    store = open_store("memory://")
    read = read_elem(store.zarr(store.put(frame).id))
    assert list(read.columns) == ["x", "n"]
    assert read.index.tolist() == ["a", "b"]
    assert read.index.name == "key"
    ours = frame["x"]
    if getattr(ours.dtype, "tz", None) is not None:
        ours = ours.dt.tz_convert(None)
    assert read["x"].isna().tolist() == ours.isna().tolist()
    assert read["x"].dropna().tolist() == ours.dropna().tolist()
    if ours.dtype == "category":
        assert read["x"].cat.ordered == ours.cat.ordered


def test_anndata_reads_what_is_large_and_nested(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": np.arange(100_000), "t": "text", "a/b": 1.5, "X": 0})
    store = open_store(tmp_path)
    stored = store.put({"results": [frame, frame["t"]]})
    group = store.zarr(stored.id)
    read = read_elem(group["results.0"])
    assert list(read.columns) == ["x", "t", "column-2", "column-3"]
    assert read["t"].tolist() == frame["t"].tolist()
    assert read_elem(group["results.1"])["t"].tolist() == frame["t"].tolist()
    back = open_store(tmp_path).get(stored.id)["results"]
    assert_frame_equal(back[0], frame)
    assert_series_equal(back[1], frame["t"])


@given(npst.arrays(object, st.integers(0, 5), elements=st.text(st.characters(codec="utf-8"))))
def test_texts_are_zarr_s_own(texts: Any) -> None:
    store = open_store("memory://")
    node = store.zarr(store.put(pd.Index(texts, dtype=object)).id)
    assert list(node["index"][...]) == list(texts)
