"""Every value comes back as it was, to the bit and the type."""

from __future__ import annotations

import dataclasses
import enum
import sys
from collections import namedtuple
from typing import Any, NamedTuple

import jax
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from jupyter_wf.encodings import decode, encode
from jupyter_wf.engine.store import open_store
from jupyter_wf.engine.store.layout import read
from jupyter_wf.engine.store.testing import same
from jupyter_wf.errors import FingerprintError
from jupyter_wf.requirements import Requirements


class Local(NamedTuple):
    x: int


# -- round trips ----------------------------------------------------------------------------------

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.complex_numbers()
    | st.text()
    | st.binary(max_size=400)
)


def has_no_titles(dtype: np.dtype[Any]) -> bool:
    """Whether no field has a second name, for which there is no typed form."""
    fields = (dtype.fields or {}).values()
    return all(len(field) == 2 and has_no_titles(field[0].base) for field in fields)


dtypes = (
    npst.scalar_dtypes()
    | npst.unicode_string_dtypes()
    | npst.byte_string_dtypes()
    | npst.array_dtypes(max_size=3).filter(has_no_titles)
    | st.sampled_from([np.dtype(ml_dtypes.bfloat16), np.dtype(ml_dtypes.float8_e4m3fn)])
)


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray[Any, Any]:
    """Draw arrays of many dtypes from raw bytes, in any memory order, with any strides."""
    dtype = draw(dtypes)
    shape = draw(npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    size = int(np.prod(shape)) * dtype.itemsize
    if dtype.names is None and dtype.kind not in "USb":
        data = draw(st.binary(min_size=size, max_size=size))
        array = np.frombuffer(data, dtype="u1").view(dtype) if size else np.zeros(0, dtype)
        array = array.reshape(shape)
    else:
        array = np.zeros(shape, dtype=dtype)
    if draw(st.booleans()):
        array = np.asfortranarray(array)
    return array[::2] if array.ndim and draw(st.booleans()) else array


hashable = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=6,
)
values = st.recursive(
    scalars | arrays(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(), inner, max_size=4)
        | st.dictionaries(hashable, inner, max_size=3)
        | st.sets(hashable, max_size=4)
    ),
    max_leaves=10,
)


def canonical(value: Any) -> Any:
    """Put arrays into the byte order and packing in which they come back."""
    if isinstance(value, np.ndarray):
        return (
            decode(encode(value))
            if value.dtype.names
            else value.astype(value.dtype.newbyteorder("<"))
        )
    if type(value) in {list, tuple}:
        return type(value)(map(canonical, value))
    return {k: canonical(v) for k, v in value.items()} if type(value) is dict else value


@given(values)
def test_a_value_comes_back(value: Any) -> None:
    encoded = encode(value, pickle=False)
    back = decode(encoded)
    assert encode(back).id == encoded.id
    if "nan" not in encoded.text:
        assert same(back, canonical(value))


@given(arrays())
def test_an_array_comes_back_in_every_form(array: np.ndarray[Any, Any]) -> None:
    encoded = encode(array, pickle=False)
    assert encoded.kind == "array"
    back = decode(encoded)
    assert back.shape == array.shape
    assert back.tobytes() == np.asarray(array, dtype=back.dtype, order="C").tobytes()
    for form in (np.asfortranarray(array), array.copy(order="C")):
        assert encode(form.reshape(array.shape)).id == encoded.id


@given(npst.arrays(npst.scalar_dtypes(), npst.array_shapes(max_side=3)))
def test_byte_order_is_not_part_of_an_array(array: np.ndarray[Any, Any]) -> None:
    swapped = array.astype(array.dtype.newbyteorder())
    assert encode(swapped).id == encode(array).id


def test_padding_is_not_part_of_a_record() -> None:
    aligned = np.dtype([("a", "i1"), ("b", "f8")], align=True)
    one = np.full(3, 255, dtype="u1").repeat(aligned.itemsize).view(aligned)
    two = np.zeros(3, dtype=aligned)
    one["a"] = two["a"] = 1
    one["b"] = two["b"] = 2.0
    assert one.tobytes() != two.tobytes()
    assert encode(one).id == encode(two).id
    assert decode(encode(one))["b"].tolist() == [2.0] * 3


@pytest.mark.parametrize(
    "value",
    [
        np.float64(1.5),
        np.int8(-1),
        np.str_("x"),
        np.bool_(True),
        np.datetime64("2020-01-01"),
        np.float32("nan"),
        ml_dtypes.bfloat16(1.5),
    ],
    ids=lambda v: type(v).__name__,
)
def test_a_numpy_scalar_stays_one(value: Any) -> None:
    encoded = encode(value, pickle=False)
    assert encoded.kind == "array"
    assert same(decode(encoded), value)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8", "float64", "int64", "complex64"])
def test_a_jax_array_stays_one(dtype: str) -> None:
    with jax.enable_x64(True):
        array = jax.numpy.arange(6, dtype=dtype).reshape(2, 3)
    encoded = encode(array, pickle=False)
    assert encoded.summary == f"jax {dtype} (2, 3)"
    back = decode(encoded)
    assert isinstance(back, jax.Array)
    assert back.dtype == array.dtype
    assert np.asarray(back).tobytes() == np.asarray(array).tobytes()
    assert encoded.id != encode(np.asarray(array)).id


#: What ml_dtypes has and JAX has not.
ONLY_NUMPY = {"float6_e2m3fn", "float6_e3m2fn", "int1", "uint1", "complex32", "bcomplex32"}
SMALL = sorted(
    name
    for name, of in vars(ml_dtypes).items()
    if isinstance(of, type) and issubclass(of, np.generic)
)


@pytest.mark.parametrize("name", SMALL)
def test_every_dtype_of_ml_dtypes_comes_back(name: str) -> None:
    array = np.arange(4).reshape(2, 2).clip(0, 1).astype(getattr(ml_dtypes, name))
    store = open_store("memory://")
    stored = store.put(array)
    assert stored.kind == "array"
    assert same(store.get(stored.id), array)
    assert read(store.zarr(stored.id)).id == stored.id
    assert same(decode(read(store.zarr(stored.id))), array)
    if name not in ONLY_NUMPY:
        ours = jax.numpy.asarray(array)
        back = decode(encode(ours, pickle=False))
        assert isinstance(back, jax.Array)
        assert back.dtype == ours.dtype == array.dtype
        assert np.asarray(back).tobytes() == array.tobytes()


def test_no_dtype_of_jax_is_forgotten() -> None:
    assert {"bfloat16", "float8_e4m3fn", "float8_e5m2", "float4_e2m1fn", "int4", "uint2"} <= set(
        SMALL
    )


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg"])
def test_random_keys_stay_keys(impl: str) -> None:
    keys = jax.random.split(jax.random.key(7, impl=impl), 3)
    back = decode(encode(keys, pickle=False))
    assert back.dtype == keys.dtype
    assert jax.random.key_data(back).tolist() == jax.random.key_data(keys).tolist()


def test_a_jax_array_under_trace_has_no_identity() -> None:
    with pytest.raises(FingerprintError, match="Tracer has no stable identity"):
        jax.jit(lambda x: len(encode(x, pickle=False).id))(1.0)


def test_memory_mapped_is_an_array(tmp_path: Any) -> None:
    np.save(tmp_path / "x.npy", np.arange(5))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert encode(mapped, pickle=False).id == encode(np.arange(5)).id


def test_classes_by_reference() -> None:
    value = {"r": Requirements(gpu=3), "p": enum.Enum, "s": pytest.ExitCode.OK}
    del value["p"]
    encoded = encode(value, pickle=False)
    assert encoded.kind == "tree"
    assert decode(encoded) == value
    assert encode(Requirements(gpu=4)).id != encode(Requirements(gpu=3)).id
    spec = sys.version_info  # a tuple of a class of its own, without _fields
    assert encode(spec).kind == "pickle"


def test_a_named_tuple_by_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, Local.__module__, sys.modules.get(Local.__module__) or _me())
    encoded = encode(Local(3), pickle=False)
    assert encoded.kind == "tree"
    assert same(decode(encoded), Local(3))


def _me() -> Any:
    """Return a module of this name, as test modules are not always in sys.modules."""
    import types

    module = types.ModuleType(Local.__module__)
    module.Local = Local  # type: ignore[attr-defined]
    return module


def test_local_classes_are_pickled() -> None:
    Hidden = namedtuple("Hidden", "x")  # noqa: PYI024

    @dataclasses.dataclass
    class Inner:
        x: int

    for value in (Hidden(1), Inner(1)):
        assert encode(value).kind == "pickle"
        with pytest.raises(FingerprintError, match="can't be imported by that name"):
            encode(value, pickle=False)


@given(values)
def test_a_summary_is_one_short_line(value: Any) -> None:
    shown = encode(value).summary
    assert 0 < len(shown) <= 120
    assert shown.isprintable()
