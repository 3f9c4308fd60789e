"""Cards and the view of the graph, in both themes, with names and texts that mean harm."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Page, expect

from jupyter_wf.engine.testing import wait_until

from .conftest import Open
from .traffic import Traffic

HARM = "<img src=x onerror=window.pwned=1>"
SETUP = """
import jupyter_wf as wf
from jupyter_wf.graph import Code, Task
from jupyter_wf.widgets.card import Card

HARM = "<img src=x onerror=window.pwned=1>"
flow = wf.Workflow(wf.LocalEngine(workers=1), "memory://")

def define(name, source, reads=(), makes=()):
    code = Code("cell", name, source, f"{abs(hash((name, source))):040d}"[:40])
    pairs = tuple((n, n) for n in reads), tuple((n, n) for n in makes)
    flow.define(Task(name, code, *pairs))
    return Card(flow, name)
"""
CELLS = (
    SETUP,
    "flow.view()",
    "define(HARM, f'print({HARM!r}); text = {HARM!r}', (), ('text',))",
    "define('fails' + HARM, f'print(text)\\n\\nraise ValueError({HARM!r})', ('text',), ('never',))",
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells = [nbformat.v4.new_code_cell(cell) for cell in CELLS]
    book = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": spec})
    path = tmp_path / "harm.ipynb"
    nbformat.write(book, path)
    return path


def test_cards_and_view(source: Path, open_notebook: Open, page: Page, traffic: Traffic) -> None:
    notebook = open_notebook(source)
    notebook.run_all()
    good, bad = (page.locator(f".jp-wf-card[data-state={s}]") for s in ("stored", "error"))
    good.wait_for()
    bad.wait_for()
    expect(good.locator(".jp-wf-name")).to_have_text(HARM)
    expect(good.locator(".jp-wf-log")).to_have_text(HARM)
    expect(good.locator(".jp-wf-text")).to_have_text(HARM)
    expect(bad).to_contain_text("(line 3 of the cell)")
    expect(bad).to_contain_text(f"ValueError: {HARM}")
    view = page.locator(".jp-wf-view")
    view.locator(".wf-task[data-state=error]").wait_for()
    expect(view.locator(".wf-count")).to_have_text(["1 stored", "1 error"])

    # Exactly one of the two forms is seen.
    expect(page.locator(".jp-wf-static:visible")).to_have_count(0)
    expect(page.locator(".jp-RenderedSVG:visible")).to_have_count(0)

    notebook.theme("JupyterLab Dark")
    notebook.screenshot("widgets-dark")
    notebook.theme("JupyterLab Light")
    notebook.screenshot("widgets-light")

    # Run again, from the card.
    ran = "sum(flow.engine.executions().values())"
    before = notebook.kernel_eval(ran)
    good.get_by_role("button", name="Run again").click()
    wait_until(lambda: notebook.kernel_eval(ran) > before, "the task ran again")
    page.locator(".jp-wf-card[data-state=stored]").wait_for()

    # A saved notebook is small, and without a kernel it shows the static forms alone.
    saved = notebook.save()
    assert len(json.dumps(saved)) < 40_000
    page.evaluate(
        """async () => {
          await jupyterapp.shell.currentWidget.context.sessionContext.shutdown();
        }"""
    )
    page.reload()
    page.locator(".jp-wf-static:visible").first.wait_for()
    notebook.wait_ready()
    expect(page.locator(".jp-wf-static:visible")).to_have_count(2)
    expect(page.locator(".jp-RenderedSVG:visible")).to_have_count(1)
    dead = page.get_by_text("Error displaying widget").locator("visible=true")
    expect(dead).to_have_count(0)
    assert page.evaluate("window.pwned") is None
    assert not traffic.foreign()
