from __future__ import annotations

from pathlib import Path

import pytest
from programs import run

HEAVY = {"bokeh", "dask", "distributed", "jax", "pandas", "panel", "scipy", "sklearn", "zarr"}

LOAD_EXTENSION = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "jupyter_wf")
assert "task" in shell.magics_manager.magics["cell"]
"""

HELP = """
import contextlib, io
from jupyter_wf.cli import main
with contextlib.redirect_stdout(io.StringIO()) as printed:
    try:
        main(["--help"])
    except SystemExit:
        pass
assert "run" in printed.getvalue()
"""


@pytest.mark.parametrize(
    ("code", "unwanted"),
    [
        pytest.param("import jupyter_wf", HEAVY | {"IPython", "numpy", "tornado"}, id="import"),
        pytest.param(LOAD_EXTENSION, HEAVY, id="load_ext"),
        pytest.param(HELP, HEAVY, id="help"),
    ],
)
def test_what_is_not_loaded(code: str, unwanted: set[str], tmp_path: Path) -> None:
    report = f"{code}\nimport sys\nprint(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    loaded = set(run(tmp_path, "python", "-c", report).split())
    assert "jupyter_wf" in loaded
    assert not loaded & unwanted
