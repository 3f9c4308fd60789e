"""The first tutorial, as a person goes through it: run, edit, bring up to date, restart."""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Iterable

from playwright.sync_api import Page

from jupyter_wf.engine.testing import wait_until

from .conftest import Open
from .notebook import ROOT, UPDATE, Notebook
from .states import States, in_order
from .traffic import Traffic

TUTORIAL = ROOT / "notebooks" / "01-first-workflow.ipynb"
TASKS = ("load", "clean", "split", "compress", "neighbours", "machine", "compare", "draw")
EDITED = "neighbours"
DEPENDENTS = ("compare", "draw")
UNTOUCHED = tuple(task for task in TASKS if task not in (EDITED, *DEPENDENTS))
LIMIT = 200_000
# A card is brought up to date some twenty times a second: what is shorter may pass unseen.
VISIBLE = 0.5
# How many different colours each canvas has.
COLOURS = """canvases => canvases.map(canvas => {
  const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  return new Set(new Uint32Array(data.buffer)).size;
})"""
DONE = ("stored", "cached")


def shown(notebook: Notebook, task: str) -> str | None:
    """Return the state that a task's live card shows; None if there is none."""
    cards = notebook.output(notebook.find(task)).locator(".jp-wf-card")
    return cards.first.get_attribute("data-state") if cards.count() == 1 else None


def wait_shown(notebook: Notebook, tasks: Iterable[str], states: Collection[str]) -> None:
    """Wait until the cards of all `tasks` show one of `states`."""
    what = f"the cards of {', '.join(tasks)} show {' or '.join(states)}"
    wait_until(lambda: all(shown(notebook, task) in states for task in tasks), what)


def all_in_order(wanted: tuple[str, ...], seen: dict[str, list[str]]) -> bool:
    """Whether the dependents were shown in these states, in this order."""
    return all(in_order(wanted, seen[task]) for task in DEPENDENTS)


def executions(notebook: Notebook) -> dict[str, int]:
    """Return how often each task's body ran, as the worker processes count it."""
    counts: dict[str, int] = notebook.kernel_eval(
        "dict(__import__('jupyter_wf').current().engine.executions())"
    )
    return counts


def seconds(notebook: Notebook) -> dict[str, float]:
    """Return how long each task took."""
    took: dict[str, float] = notebook.kernel_eval(
        "(lambda flow: {name: flow.status_of(name).seconds for name in flow.graph.tasks})"
        "(__import__('jupyter_wf').current())"
    )
    return took


def nodes(notebook: Notebook) -> dict[str, str]:
    """Return the states that the live graph shows."""
    drawn = notebook.output(notebook.find("graph")).locator(".wf-stage [data-task]")
    pairs = drawn.evaluate_all("found => found.map(n => [n.dataset.task, n.dataset.state])")
    return dict(pairs)


def check_workers(notebook: Notebook) -> None:
    """Check that the view shows each worker's CPU and memory, as figures and as charts."""
    output = notebook.output(notebook.find("graph"))
    figures = output.locator(".wf-workers").inner_text()
    sizes = re.findall(r"([\d.]+) cores · ([\d.]+) (MB|GB)", figures)
    assert len(sizes) >= 2, figures
    assert all(unit == "GB" or float(size) > 30 for _, size, unit in sizes), figures
    colours = output.locator("canvas").evaluate_all(COLOURS)
    assert sum(count > 3 for count in colours) == 2, f"one chart for CPU, one for memory: {colours}"


def take_pictures(notebook: Notebook) -> None:
    """Photograph Lab with a card and the graph, light and dark."""
    notebook.page.evaluate("jupyterapp.commands.execute('application:toggle-left-area')")
    for theme, name in (("JupyterLab Dark", "lab-dark"), ("JupyterLab Light", "lab-light")):
        notebook.theme(theme)
        notebook.show(notebook.find("graph"))
        notebook.screenshot(name, image=True)


def test_first_workflow(open_notebook: Open, page: Page, traffic: Traffic) -> None:
    notebook = open_notebook(TUTORIAL)
    page.evaluate("jupyterapp.commands.execute('editmenu:clear-all')")
    states = States(page)

    # Run everything, cell by cell.
    notebook.run_all()
    wait_shown(notebook, TASKS, DONE)
    assert executions(notebook) == dict.fromkeys(TASKS, 1)
    took = seconds(notebook)
    assert any(took[task] > VISIBLE for task in TASKS), took
    for task in TASKS:
        passed = ("running", "stored") if took[task] > VISIBLE else ("stored",)
        assert in_order(passed, states.cards()[task]), (task, took, states.cards())
    notebook.text(notebook.find("scores"), "'neighbours': 10, 'machine': 5")

    # Saved with its outputs, the tutorial stays small.
    notebook.save()
    assert notebook.path.stat().st_size < LIMIT
    if UPDATE:
        shutil.copyfile(notebook.path, TUTORIAL)

    # The live graph stands in the page, drawn by scripts of this server, with its workers.
    wait_until(lambda: set(nodes(notebook).values()) == {"stored"}, "the graph is drawn")
    check_workers(notebook)

    # Edit one cell and run it alone: it runs, what reads it turns stale, the rest is untouched.
    states.forget()
    index = notebook.find(EDITED)
    source = notebook.sources()[index]
    assert source.count("_distances, 5)") == 1
    notebook.set_source(index, source.replace("_distances, 5)", "_distances, 3)"))
    notebook.run_cell(index)
    wait_shown(notebook, [EDITED], DONE)
    wait_shown(notebook, DEPENDENTS, ["stale"])
    wait_shown(notebook, UNTOUCHED, DONE)
    assert executions(notebook) == dict.fromkeys(TASKS, 1) | {EDITED: 2}
    states_wanted = dict.fromkeys(TASKS, "stored") | dict.fromkeys(DEPENDENTS, "stale")
    plan = notebook.find("plan")
    notebook.run_cell(plan)
    text = notebook.text(plan, "to run")
    for task in TASKS:
        _, action, *_ = next(line.split() for line in text.splitlines() if line.startswith(task))
        assert action == ("run" if task in DEPENDENTS else "cached"), text

    # The graph says the same, in both themes.
    wait_until(lambda: nodes(notebook) == states_wanted, "the graph shows the same states")
    take_pictures(notebook)

    # Bring everything up to date: exactly the dependents run, and the live graph shows it.
    notebook.run_cell(notebook.find("run"))
    wait_shown(notebook, DEPENDENTS, DONE)
    ran = {EDITED: 2} | dict.fromkeys(DEPENDENTS, 2)
    assert executions(notebook) == dict.fromkeys(TASKS, 1) | ran
    went = ("stale", "stored")
    wait_until(lambda: all_in_order(went, states.cards()), "the cards went on to stored")
    wait_until(lambda: all_in_order(went, states.graph()), "the graph went on to stored")
    notebook.run_cell(notebook.find("scores"))
    notebook.text(notebook.find("scores"), "'neighbours': 7, 'machine': 5")

    # Restart, run everything: the workers have nothing to do.
    notebook.restart()
    notebook.run_all()
    wait_shown(notebook, TASKS, ["cached"])
    assert executions(notebook) == {}
    traffic.assert_clean()
