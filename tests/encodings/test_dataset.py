"""Datasets come back as they were, and xarray reads what is on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from jupyter_wf.encodings import content_id, decode, encode
from jupyter_wf.engine.store import open_store
from jupyter_wf.engine.store.layout import in_memory, read


def weather() -> xr.Dataset:
    return xr.Dataset(
        {
            "t": (("time", "x"), np.arange(6.0).reshape(2, 3), {"units": "K", "w": np.arange(2)}),
            "n": ((), 3),
            "who": (("x",), np.array(["a", "bc", ""])),
            "objects": (("time", "x"), np.array([["a"] * 3, ["ç\x00"] * 3], dtype=object)),
            "when": (("x",), np.array(["2020-01-01", "NaT", "2021-01-01"], "M8[s]")),
        },
        coords={
            "time": pd.date_range("2020", periods=2, freq="D", name="time"),
            "x": ("x", ["one", "two", "three"], {"long_name": "place"}),
            "height": ("x", [1, 2, 3]),
            "run": 5,
            "name": "a name",
        },
        attrs={"title": "T", "n": [1, 2], "scale": np.float32(0.5), "more": {"a": 1}},
    )


VALUES: dict[str, Any] = {
    "dataset": weather(),
    "array": weather()["t"],
    "without a name": weather()["t"].rename(None),
    "no coordinates": xr.DataArray(np.zeros((2, 0), "f4"), dims=("a", "b"), attrs={"k": 1}),
    "empty": xr.Dataset(),
    "a range": xr.DataArray([1, 2], coords={"x": pd.RangeIndex(2, name="x")}),
    "a dimension without index": weather().drop_indexes("x"),
    "a coordinate of two dimensions": weather().set_coords("t"),
}


def check(one: Any, other: Any) -> None:
    xr.testing.assert_identical(one, other)
    assert list(one.coords) == list(other.coords)
    for name, variable in other.coords.items():
        assert one.coords[name].dtype == variable.dtype
    assert set(one.xindexes) == set(other.xindexes)
    for name, index in other.indexes.items():
        pd.testing.assert_index_equal(one.indexes[name], index, exact=True)
        assert getattr(one.indexes[name], "freq", None) == getattr(index, "freq", None)
    if isinstance(other, xr.Dataset):
        assert list(one.data_vars) == list(other.data_vars)
        assert {k: v.dtype for k, v in one.items()} == {k: v.dtype for k, v in other.items()}
    else:
        assert one.dtype == other.dtype


@pytest.mark.parametrize("name", VALUES)
def test_it_comes_back(name: str) -> None:
    encoded = encode(VALUES[name], pickle=False)
    back = decode(encoded)
    check(back, VALUES[name])
    assert encode(back).id == encoded.id


@given(
    npst.arrays(
        npst.boolean_dtypes() | npst.integer_dtypes() | npst.floating_dtypes(endianness="<"),
        npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
    ),
    st.text() | st.none(),
    st.dictionaries(st.text(), st.integers() | st.text() | st.floats(allow_nan=False)),
)
def test_an_array_comes_back(array: Any, name: str | None, attrs: dict[str, Any]) -> None:
    if array.dtype == np.longdouble:
        return
    one = xr.DataArray(array, name=name, attrs=attrs)
    encoded = encode(one, pickle=False)
    back = decode(encoded)
    check(back, one.astype(one.dtype.newbyteorder("<")))
    turned = xr.DataArray(np.array(array, order="F"), name=name, attrs=attrs)
    assert encode(turned).id == encode(back).id == encoded.id
    found = read(in_memory(encode([one, one])))
    assert content_id(found.kind, found.text, found.leaves) == encode([one, one]).id


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("large", [False, True])
def test_xarray_reads_ours(tmp_path: Path, name: str, large: bool) -> None:
    value = VALUES[name]
    store = open_store(tmp_path)
    stored = store.put({"v": value, "more": np.zeros(200_000 if large else 2)})
    group = store.zarr(stored.id)
    with xr.open_zarr(group.store, group="v", consolidated=False) as read:
        wanted = value
        if isinstance(value, xr.DataArray):
            wanted = value.to_dataset(name=value.name or "values")
        xr.testing.assert_equal(read, wanted)
        for variable in wanted.variables:
            assert read[variable].attrs.keys() == wanted[variable].attrs.keys()
        if name == "dataset":
            assert read.attrs == {"title": "T", "n": [1, 2], "scale": 0.5}
    check(open_store(tmp_path).get(stored.id)["v"], value)


def test_what_is_read_is_the_reader_s_own() -> None:
    encoded = encode(weather())
    first = decode(encoded)
    first["t"][0, 0] = 7.0
    assert decode(encoded)["t"][0, 0] == 0.0


@pytest.mark.parametrize(
    "value",
    [
        xr.DataArray([1.0], dims="x").chunk(),
        xr.DataArray([1, 2], dims="x", coords={"y": ("x", [0, 1]), "z": ("x", [5, 6])}).set_index(
            x=["y", "z"]
        ),
        xr.DataArray(np.array([{}, 1], dtype=object)),
        xr.Dataset({1: ("x", [1])}),
        xr.DataArray([1], dims="x", coords={"x": pd.CategoricalIndex(["a"])}),
    ],
    ids=["dask", "levels", "objects", "a number as name", "categories"],
)
def test_others_are_pickled(value: Any) -> None:
    encoded = encode(value)
    assert encoded.kind == "pickle"
    assert decode(encoded).identical(value)


def test_a_summary() -> None:
    assert encode(weather()).summary == ("Dataset (time 2, x 3): t, n, who, objects, when")
    assert encode(weather()["t"]).summary == "DataArray float64 (time 2, x 3)"
