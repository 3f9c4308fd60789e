"""Sparse matrices come back entry by entry, and AnnData reads what is on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import scipy.sparse as sp
from anndata.io import read_elem
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from jax.experimental import sparse as jsparse

from jupyter_wf.encodings import decode, encode
from jupyter_wf.engine.store import open_store
from jupyter_wf.engine.store.testing import same


@st.composite
def matrices(draw: st.DrawFn) -> Any:
    """Draw matrices with entries in any order, some twice and some zero, in any dtype."""
    rows, columns = draw(st.integers(0, 4)), draw(st.integers(0, 4))
    count = draw(st.integers(0, 6)) if rows and columns else 0
    dtype = draw(st.sampled_from(["?", "i1", "u8", "f4", "f8", "c16"]))
    index = draw(st.sampled_from(["i4", "i8"]))
    data = draw(npst.arrays(dtype, count))
    cls = getattr(sp, draw(st.sampled_from(["csr", "csc", "coo"])) + draw(st.sampled_from(ENDS)))
    major, minor = (columns, rows) if cls.__name__.startswith("csc") else (rows, columns)
    outer = draw(npst.arrays(index, count, elements=st.integers(0, max(0, major - 1))))
    inner = draw(npst.arrays(index, count, elements=st.integers(0, max(0, minor - 1))))
    if cls.__name__.startswith("coo"):
        return cls((data, (outer, inner)), shape=(rows, columns))
    starts = np.searchsorted(np.sort(outer), np.arange(major + 1)).astype(index)
    return cls((data, inner, starts), shape=(rows, columns))


ENDS = ("_matrix", "_array")


@given(matrices())
def test_a_matrix_comes_back(matrix: Any) -> None:
    encoded = encode(matrix, pickle=False)
    assert encoded.kind == "sparse"
    back = decode(encoded)
    assert same(back, matrix)
    assert encode(back).id == encoded.id


@pytest.mark.parametrize(
    "value",
    [
        sp.csr_array(np.arange(3.0)),
        sp.coo_array(np.arange(3.0)),
        sp.coo_array(np.arange(8).reshape(2, 2, 2)),
    ],
    ids=str,
)
def test_it_may_have_other_dimensions_than_two(value: Any) -> None:
    assert same(decode(encode(value, pickle=False)), value)


def test_wide_indices_stay_wide() -> None:
    wide = sp.csr_matrix(np.eye(3))
    narrow = wide.copy()
    wide.indices, wide.indptr = wide.indices.astype("i8"), wide.indptr.astype("i8")
    assert same(decode(encode(wide)), wide)
    assert encode(wide).id != encode(narrow).id


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
@pytest.mark.parametrize("form", ["BCOO", "BCSR"])
def test_a_matrix_of_jax_stays_one(form: str, dtype: str) -> None:
    with jax.enable_x64(True):
        matrix = getattr(jsparse, form).fromdense(jax.numpy.eye(3, dtype=dtype), nse=4)
    encoded = encode(matrix, pickle=False)
    back = decode(encoded)
    assert same(back, matrix)
    assert encode(back).id == encoded.id
    assert encoded.summary == f"{form} {dtype} (3, 3), 4 stored"


def test_memory_and_byte_order_are_not_part_of_it() -> None:
    matrix = sp.csr_array(np.eye(4))
    other = matrix.copy()
    other.data = np.ones(8)[::2].astype(">f8")
    assert encode(other).id == encode(matrix).id


def test_one_that_is_read_is_the_reader_s_own() -> None:
    encoded = encode(sp.csr_array(([1.0, 2.0], [1, 0], [0, 2]), shape=(1, 2)))
    first = decode(encoded)
    assert first.max() == 2.0  # puts the entries into order
    assert decode(encoded).indices.tolist() == [1, 0]


@pytest.mark.parametrize(
    "value",
    [sp.dok_array((2, 2)), sp.dia_array((2, 2)), sp.csr_array(np.ones(2, "longdouble"))],
    ids=str,
)
def test_others_are_pickled(value: Any) -> None:
    assert encode(value).kind == "pickle"


def test_what_hangs_on_a_matrix_is_not_lost() -> None:
    matrix = sp.csr_array(np.eye(2))
    matrix.note = "mine"
    assert encode(matrix).kind == "pickle"
    assert decode(encode(matrix)).note == "mine"


@pytest.mark.parametrize("size", [10, 300_000])
@pytest.mark.parametrize("form", ["csr_matrix", "csc_matrix", "csr_array", "csc_array"])
def test_anndata_reads_ours(tmp_path: Path, form: str, size: int) -> None:
    matrix = getattr(sp, form)(sp.eye_array(size, format="coo"))
    store = open_store(tmp_path)
    node = store.zarr(store.put(matrix).id)
    assert dict(node.attrs)["encoding-type"] == f"{form[:3]}_matrix"
    assert (read_elem(node) != matrix).nnz == 0
    node = store.zarr(store.put({"a": {"M": matrix}, "n": np.arange(3)}).id)
    assert (read_elem(node["a.M"]) != matrix).nnz == 0
    assert node["n"][...].tolist() == [0, 1, 2]
