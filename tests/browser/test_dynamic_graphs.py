"""The third tutorial: tasks that add tasks, on their cards and in the graph."""

from __future__ import annotations

import re
import shutil

from playwright.sync_api import Page

from jupyter_wf.engine.testing import wait_until

from .conftest import Open
from .notebook import ROOT, UPDATE, Notebook
from .states import States
from .test_first_workflow import DONE, LIMIT, executions, nodes, wait_shown
from .traffic import Traffic

TUTORIAL = ROOT / "notebooks" / "03-dynamic-graphs.ipynb"
TASKS = ("integrate", "sort", "covariance", "factorise", "rest")
#: What a view shows at the corner of each task that has added some.
BADGES = """found => Object.fromEntries(found.map(
  badge => [badge.closest('.wf-task').dataset.task, badge.textContent]))"""


def badges(notebook: Notebook) -> dict[str, str]:
    """Return the badges of the live graph, by task."""
    graph = notebook.output(notebook.find("graph"))
    found: dict[str, str] = graph.locator(".wf-badge").evaluate_all(BADGES)
    return found


def take_pictures(notebook: Notebook) -> None:
    """Photograph what there is to look at, light and dark."""
    notebook.page.evaluate("jupyterapp.commands.execute('application:toggle-left-area')")
    for theme, name in (("JupyterLab Dark", "dark"), ("JupyterLab Light", "light")):
        notebook.theme(theme)
        for cell in ("integrate", "points", "cholesky-picture", "plate", "graph"):
            notebook.show(notebook.find(cell))
            notebook.screenshot(f"dynamic-{cell}-{name}")


def test_dynamic_graphs(open_notebook: Open, page: Page, traffic: Traffic) -> None:
    notebook = open_notebook(TUTORIAL)
    page.evaluate("jupyterapp.commands.execute('editmenu:clear-all')")

    notebook.run_all()
    wait_shown(notebook, TASKS, DONE)
    ran = executions(notebook)
    assert (ran["add_one"], ran["fib"], ran["factor"], ran["solve"]) == (3, 91, 4, 6)
    added = "22 tasks added: 10 update, 6 solve, 4 factor, 1 assemble, 1 cholesky"
    notebook.text(notebook.find("factorise"), added)
    notebook.save()
    assert notebook.path.stat().st_size < LIMIT
    if UPDATE:
        shutil.copyfile(notebook.path, TUTORIAL)

    notebook.show(notebook.find("graph"))
    wait_until(lambda: badges(notebook).get("factorise") == "+ 22", "the graph counts them")
    assert "covariance" not in badges(notebook)
    take_pictures(notebook)

    # Run once more, a chain is counted while it goes on, on its card and in the graph.
    states = States(page)
    notebook.output(notebook.find("rest")).get_by_role("button", name="Run again").click()
    for what in (r"\d+ of \d+ added tasks have ended", r"^\d+ of \d+$"):
        wait_until(
            lambda what=what: any(re.search(what, text) for text in states.told("rest")), what
        )
    notebook.screenshot("dynamic-progress")
    wait_shown(notebook, ["rest"], DONE)

    # After a restart, all is found, and so nothing adds anything.
    notebook.restart()
    notebook.run_all()
    wait_shown(notebook, TASKS, ["cached"])
    assert executions(notebook) == {}
    wait_until(lambda: set(nodes(notebook).values()) == {"cached"}, "the graph is drawn")
    assert badges(notebook) == {}
    traffic.assert_clean()
