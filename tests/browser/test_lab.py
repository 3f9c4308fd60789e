"""The harness itself, on a notebook that knows nothing of this package."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Open
from .notebook import KernelError, write_notebook
from .traffic import Traffic


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A notebook of two plain cells."""
    return write_notebook(tmp_path / "plain.ipynb", {"one": "x = 6", "two": "print(x * 7)"})


def test_plain_notebook(plain: Path, open_notebook: Open, traffic: Traffic) -> None:
    notebook = open_notebook(plain)
    notebook.run_all()
    assert notebook.text(1, "42").strip() == "42"
    assert notebook.kernel_eval("x + 1") == 7
    notebook.set_source(0, "x = 5")
    notebook.run_all()
    assert notebook.text(1, "35").strip() == "35"
    saved = notebook.save()
    assert saved["cells"][0]["source"] in ("x = 5", ["x = 5"])
    notebook.restart()
    with pytest.raises(KernelError, match="NameError"):
        notebook.kernel_eval("x")
    notebook.theme("JupyterLab Dark")
    assert notebook.screenshot("plain-dark").stat().st_size > 10_000
    traffic.assert_clean()


def test_traffic_sees_what_leaves(plain: Path, open_notebook: Open, traffic: Traffic) -> None:
    notebook = open_notebook(plain)
    notebook.page.evaluate("fetch('https://cdn.example.org/x.js').catch(() => null)")
    with notebook.page.expect_console_message(lambda message: message.text == "seen"):
        notebook.page.evaluate("void console.error('seen')")
    assert traffic.foreign() == ["https://cdn.example.org/x.js"]
    with pytest.raises(AssertionError, match="left the machine"):
        traffic.assert_clean()
    assert any("seen" in error for error in traffic.errors)
