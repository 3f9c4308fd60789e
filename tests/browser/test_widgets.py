"""Cards and the view of the graph, in both themes, with names and texts that mean harm."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Page, expect

from .conftest import Open
from .notebook import wait_until
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
    assert good.locator(".jp-wf-name").inner_text() == HARM
    assert good.locator(".jp-wf-log").inner_text().strip() == HARM
    assert good.locator(".jp-wf-text").inner_text() == HARM
    assert "(line 3 of the cell)" in bad.inner_text()
    assert f"ValueError: {HARM}" in bad.inner_text()
    view = page.locator(".jp-wf-view")
    view.locator(".wf-task[data-state=error]").wait_for()
    assert view.locator(".wf-count").all_inner_texts() == ["1 stored", "1 error"]

    # Exactly one of the two forms is seen.
    assert page.locator(".jp-wf-static:visible").count() == 0
    assert page.locator(".jp-RenderedSVG:visible").count() == 0

    notebook.theme("JupyterLab Dark")
    notebook.screenshot("widgets-dark")
    notebook.theme("JupyterLab Light")
    notebook.screenshot("widgets-light")

    # Run again, from the card.
    before = notebook.kernel_eval("sum(flow.engine.executions().values())")
    good.get_by_role("button", name="Run again").click()
    ran = "sum(flow.engine.executions().values())"
    wait_until(lambda: notebook.kernel_eval(ran) > before, 30, "the task ran again")
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
    wait_until(
        lambda: page.get_by_text("Error displaying widget").locator("visible=true").count() == 0,
        20,
        "no dead widget is seen",
    )
    assert page.evaluate("window.pwned") is None
    assert not traffic.foreign()
