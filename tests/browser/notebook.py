"""A notebook open in JupyterLab, driven through Lab's own commands."""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat

from jupyter_wf.engine.testing import PATIENCE, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

ROOT = Path(__file__).parents[2]
SHOTS = ROOT / "test-results"
IMAGES = ROOT / "docs" / "images"
#: Whether pictures and saved outputs in the tree are to be replaced by what the tests see.
UPDATE = os.environ.get("UPDATE_IMAGES") == "1"

# The "idle" word in the toolbar may show before the session can execute: wait for the session.
READY = """async () => {
  const app = window.jupyterapp; if (!app) return false;
  await app.restored;
  const context = app.shell.currentWidget?.context?.sessionContext; if (!context) return false;
  await context.ready;
  const kernel = context.session?.kernel;
  return !!kernel && kernel.connectionStatus === 'connected' && kernel.status === 'idle';
}"""

# Fired, not awaited: a run whose promise never settles must not hold the test for ever.
RUN = """index => {
  const panel = window.jupyterapp.shell.currentWidget;
  panel.content.activeCellIndex = index;
  panel.content.deselectAll();
  panel.content.widgets[index].model.clearExecution();
  void window.jupyterapp.commands.execute('notebook:run-cell');
}"""

RAN = """index => {
  const model = window.jupyterapp.shell.currentWidget.content.widgets[index].model;
  return model.executionCount !== null && model.executionState === 'idle';
}"""

EVAL = """async ([expression, limit]) => {
  const kernel = window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel;
  const future = kernel.requestExecute({
    code: '', silent: true, store_history: false, user_expressions: {value: expression},
  });
  const late = new Promise((_, reject) => {
    setTimeout(() => reject(new Error('the kernel did not answer')), limit);
  });
  const reply = await Promise.race([future.done, late]);
  return reply.content;
}"""


def write_notebook(path: Path, cells: Mapping[str, str]) -> Path:
    """Write a notebook with these code cells, by their ids; return its path."""
    made = [nbformat.v4.new_code_cell(source, id=name) for name, source in cells.items()]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(cells=made, metadata={"kernelspec": kernel})
    nbformat.write(notebook, path)
    return path


class KernelError(Exception):
    """Code run beside the notebook failed in the kernel."""


class Notebook:
    """One notebook in one page."""

    def __init__(self, page: Page, path: Path) -> None:
        self.page = page
        self.path = path

    # -- the session ---------------------------------------------------------------------------

    def wait_ready(self) -> None:
        """Wait until the kernel's session can execute."""
        wait_until(lambda: self.page.evaluate(READY), "the kernel's session is ready")

    def restart(self) -> None:
        """Restart the kernel, as *Kernel > Restart* does, without its question."""
        self.page.evaluate(
            """async () => {
              await window.jupyterapp.shell.currentWidget.context.sessionContext.restartKernel();
            }"""
        )
        self.wait_ready()

    def kernel_eval(self, expression: str) -> Any:
        """Evaluate `expression` in the kernel beside the notebook; it must be JSON-able."""
        wrapped = f"__import__('json').dumps({expression})"
        content = self.page.evaluate(EVAL, [wrapped, PATIENCE * 1000])
        if content["status"] != "ok":
            raise KernelError("\n".join(content.get("traceback", [str(content)])))
        value = content["user_expressions"]["value"]
        if value["status"] != "ok":
            raise KernelError("\n".join(value["traceback"]))
        # The text is the repr of a str that holds JSON.
        return json.loads(_unquote(value["data"]["text/plain"]))

    def reload(self, *, kernel: bool) -> None:
        """Load the page again, with the same `kernel` or after it was shut down."""
        if not kernel:
            self.page.evaluate(
                """async () => {
                  await window.jupyterapp.shell.currentWidget.context.sessionContext.shutdown();
                }"""
            )
        self.page.reload()
        self.wait_ready()

    # -- cells ---------------------------------------------------------------------------------

    def sources(self) -> list[str]:
        """Return the source of each cell."""
        return list(
            self.page.evaluate(
                """() => window.jupyterapp.shell.currentWidget.content.widgets
                       .map(cell => cell.model.sharedModel.getSource())"""
            )
        )

    def code_cells(self) -> list[int]:
        """Return the positions of the code cells."""
        return list(
            self.page.evaluate(
                """() => window.jupyterapp.shell.currentWidget.content.widgets
                       .flatMap((cell, i) => cell.model.type === 'code' ? [i] : [])"""
            )
        )

    def find(self, cell_id: str) -> int:
        """Return the position of the cell with this id."""
        ids = self.page.evaluate(
            """() => window.jupyterapp.shell.currentWidget.content.widgets
                   .map(cell => cell.model.sharedModel.id)"""
        )
        return list(ids).index(cell_id)

    def set_source(self, index: int, text: str) -> None:
        """Replace the source of a cell, as typing would."""
        self.page.evaluate(
            """([index, text]) => window.jupyterapp.shell.currentWidget.content
                   .widgets[index].model.sharedModel.setSource(text)""",
            [index, text],
        )

    def append(self, text: str) -> int:
        """Add a code cell at the end; return its position."""
        return int(
            self.page.evaluate(
                """text => {
                  const model = window.jupyterapp.shell.currentWidget.content.model.sharedModel;
                  model.addCell({cell_type: 'code', source: text});
                  return model.cells.length - 1;
                }""",
                text,
            )
        )

    def run_cell(self, index: int) -> None:
        """Run a cell and wait until the kernel has finished it."""
        self.page.evaluate(RUN, index)
        wait_until(lambda: self.page.evaluate(RAN, index), f"cell {index} has been executed")

    def run_all(self) -> None:
        """Run all code cells, one after the other."""
        for index in self.code_cells():
            self.run_cell(index)

    def outputs(self, index: int) -> list[dict[str, Any]]:
        """Return the outputs of a cell as the notebook would save them."""
        return list(
            self.page.evaluate(
                """index => window.jupyterapp.shell.currentWidget.content
                       .widgets[index].model.outputs.toJSON()""",
                index,
            )
        )

    def text(self, index: int, said: str) -> str:
        """Wait until a reader sees `said` below a cell; return all that is seen there."""
        output = self.output(index)
        return wait_until(
            lambda: text if said in (text := output.inner_text()) else None,
            f"{said!r} is seen below cell {index}",
        )

    def cell(self, index: int) -> Locator:
        """Return the cell's element, scrolled into view."""
        self.page.evaluate(
            """async index => {
              const notebook = window.jupyterapp.shell.currentWidget.content;
              await notebook.scrollToItem(index, 'smart');
            }""",
            index,
        )
        return self.page.locator(f'.jp-Notebook .jp-Cell[data-windowed-list-index="{index}"]')

    def show(self, index: int) -> None:
        """Scroll until the cell's end is at the bottom of the window."""
        self.cell(index).evaluate("cell => cell.scrollIntoView({block: 'end'})")
        self.page.wait_for_timeout(500)  # for canvases to be drawn

    def output(self, index: int) -> Locator:
        """Return the element that holds a cell's outputs."""
        return self.cell(index).locator(".jp-Cell-outputArea")

    # -- the document and the page -------------------------------------------------------------

    def save(self) -> dict[str, Any]:
        """Save the notebook; return what is on disk."""
        self.page.evaluate(
            "async () => { await window.jupyterapp.shell.currentWidget.context.save(); }"
        )
        saved: dict[str, Any] = json.loads(self.path.read_text(encoding="utf-8"))
        return saved

    def theme(self, name: str) -> None:
        """Change Lab's theme, such as ``JupyterLab Dark``."""
        self.page.evaluate(
            "theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", name
        )
        light = "false" if "Dark" in name else "true"
        self.page.locator(f'body[data-jp-theme-light="{light}"]').wait_for(state="attached")
        self.page.locator("#jupyterlab-splash").wait_for(state="detached")

    def screenshot(self, name: str, *, image: bool = False) -> Path:
        """Write ``test-results/NAME.png``; an `image` also to docs/images, if `UPDATE`."""
        SHOTS.mkdir(exist_ok=True)
        target = SHOTS / f"{name}.png"
        shot = self.page.screenshot(path=target)
        if image and UPDATE:
            IMAGES.mkdir(parents=True, exist_ok=True)
            (IMAGES / f"{name}.png").write_bytes(shot)
        return target


def _unquote(text: str) -> str:
    """Return the string whose repr is `text`."""
    value = ast.literal_eval(text)
    assert isinstance(value, str)
    return value


def slug(text: str) -> str:
    """Return `text` as a name that is good for folders and URLs."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-")
