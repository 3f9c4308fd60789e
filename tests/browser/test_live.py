"""What moves in the page while tasks run, and what is left of it without a kernel."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from jupyter_wf.engine.testing import wait_until

from .conftest import Open
from .notebook import write_notebook
from .states import States, in_order
from .traffic import Traffic

SLOW = """\
%%task first
import time

for step in range(20):
    print("step", step)
    time.sleep(0.1)
made = list(range(10))
"""
SECOND = """\
%%task second
import time

time.sleep(1.5)
total = sum(made)
"""
SCRIPTS = 4000


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A notebook that draws its graph before there are tasks."""
    cells = {
        "load-ext": "%load_ext jupyter_wf",
        "graph": "%wf graph",
        "first": SLOW,
        "second": SECOND,
        "total": "total.get()",
    }
    return write_notebook(tmp_path / "small.ipynb", cells)


def test_live(small: Path, open_notebook: Open, page: Page, traffic: Traffic) -> None:
    notebook = open_notebook(small)
    states = States(page)
    for cell in ("load-ext", "graph"):
        notebook.run_cell(notebook.find(cell))
    # Its scripts may take longer to come than the tasks do.
    stage = notebook.output(notebook.find("graph")).locator(".wf-stage")
    stage.wait_for(state="attached")
    for cell in ("first", "second", "total"):
        notebook.run_cell(notebook.find(cell))
    assert notebook.text(notebook.find("total"), "45").strip().endswith("45")

    # The drawing followed: nodes came, and changed their states where they stood.
    nodes = stage.locator("[data-task]")
    for task in ("first", "second"):
        nodes.and_(page.locator(f"[data-task={task}][data-state=stored]")).wait_for()
        card = notebook.output(notebook.find(task)).locator(".jp-wf-card")
        card.and_(page.locator("[data-state=stored]")).wait_for()
        assert in_order(("running", "stored"), states.graph()[task]), states.graph()
        assert in_order(("running", "stored"), states.cards()[task]), states.cards()
    notebook.text(notebook.find("first"), "step 19")
    # All scripts came from this server, and none goes into the notebook.
    traffic.assert_clean()
    # The static form follows the live one.
    wait_until(lambda: "second: stored" in str(notebook.save()), "the static form is up to date")
    text = notebook.path.read_text(encoding="utf-8")
    assert "<script" not in text
    assert max(map(len, text.splitlines())) < SCRIPTS

    # The same kernel after a reload: live again.
    notebook.reload(kernel=True)
    card = notebook.output(notebook.find("second")).locator(".jp-wf-card")
    card.and_(page.locator("[data-state=stored]")).wait_for()

    # Without it: one static card, and no word of a broken widget.
    notebook.reload(kernel=False)
    for task in ("first", "second"):
        output = notebook.output(notebook.find(task))
        expect(output.locator(".jp-wf-static")).to_contain_text(f"{task}: stored")
        assert "widget" not in output.inner_text()
    assert page.locator(".jp-wf-live").count() == 0
    graph = notebook.output(notebook.find("graph"))
    expect(graph.locator("svg, img").first).to_be_visible()
    assert "widget" not in graph.inner_text()
    notebook.screenshot("without-kernel")
