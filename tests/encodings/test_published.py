"""Other packages publish encodings for their types."""

from __future__ import annotations

from pathlib import Path

import pytest
from programs import run

MODULE = """
from jupyter_wf.encodings import Kind, Untyped

class Temperature:
    def __init__(self, kelvins):
        self.kelvins = kelvins

def node(value, writer):
    if value.kelvins is None:
        raise Untyped("a temperature that was not measured")
    return {"tiny:temperature": writer.node(value.kelvins)}

def value(tag, node, reader):
    return Temperature(reader.value(node[tag]))

KIND = Kind(
    NAME, ("tiny:temperature",), lambda cls: cls is Temperature, node, value,
    lambda value, part: f"Temperature {part(value.kelvins)} K",
)
"""

USE = """
import sys
import numpy as np
from jupyter_wf.encodings import decode, encode
from jupyter_wf.engine.store import open_store
assert decode(encode({1: slice(2)})) == {1: slice(2)}
assert "tiny" not in sys.modules
import tiny
store = open_store("store")
for size in (3, 300_000):
    stored = store.put([tiny.Temperature(np.arange(size)), {"t": tiny.Temperature(1.5)}])
    print(stored.kind, encode(tiny.Temperature(1.5)).kind, stored.id)
    print(*store.zarr(stored.id))
    back = open_store("store").get(stored.id)
    assert (back[0].kelvins == np.arange(size)).all() and back[1]["t"].kelvins == 1.5
print(encode(tiny.Temperature(None)).kind)
"""

ABSENT = """
import sys
from jupyter_wf.engine.store import open_store
from jupyter_wf.errors import StoreError
try:
    open_store("store").get(sys.argv[1])
except StoreError as error:
    print(error)
"""


def install(site: Path, module: str) -> None:
    """Install a distribution as an installer would."""
    about = site / "tiny-1.0.dist-info"
    about.mkdir(parents=True, exist_ok=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[jupyter_wf.encodings]\ntiny = tiny:KIND\n")
    (site / "tiny.py").write_text(module)


def test_a_type_of_another_package_is_stored(tmp_path: Path) -> None:
    install(tmp_path, MODULE.replace("NAME", "'tiny'"))
    shown = run(tmp_path, "python", "-c", USE).split()
    assert shown[:2] == shown[4:6] == ["tree", "tiny"]
    assert shown[3] == shown[7] == "0"
    assert shown[8] == "pickle"
    (tmp_path / "tiny-1.0.dist-info" / "entry_points.txt").unlink()
    for stored in (shown[2], shown[6]):
        said = run(tmp_path, "python", "-c", ABSENT, stored)
        assert "'tiny:temperature'" in said
        assert "Install what encodes the types of 'tiny'" in said


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (MODULE.replace("NAME", "'other'"), "'tiny' (tiny:KIND) is not a Kind of that name"),
        (MODULE.replace("NAME", "1 / 0"), "'tiny' (tiny:KIND) can't be loaded: ZeroDivisionError"),
    ],
)
def test_one_that_is_wrong_is_named(tmp_path: Path, module: str, said: str) -> None:
    install(tmp_path, module)
    (tmp_path / "bare.py").write_text(module.partition("KIND")[0])
    use = """
import bare
from jupyter_wf.encodings import encode
from jupyter_wf.errors import StoreError
bare.Temperature.__module__ = "tiny"
try:
    encode(bare.Temperature(1))
except StoreError as error:
    print(error)
"""
    assert said in run(tmp_path, "python", "-c", use)
