"""Fixtures: one server and one browser for all, one page and one workspace for each test."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from jupyter_wf.engine.testing import PATIENCE

from . import chromium
from .notebook import SHOTS, Notebook, slug
from .server import LabServer
from .traffic import Traffic

Open = Callable[[Path], Notebook]

expect.set_options(timeout=PATIENCE * 1000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this folder as needing a browser."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="package")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabServer]:
    """A JupyterLab server with nobody's settings."""
    server = LabServer.start(tmp_path_factory.mktemp("lab"))
    yield server
    server.stop()


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium."""
    with sync_playwright() as playwright:
        found = chromium.launch(playwright)
        yield found
        found.close()


@pytest.fixture
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """An empty page; what it shows at the end of the test goes to ``test-results``."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE * 1000)
    page = context.new_page()
    yield page
    SHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SHOTS / f"last-{slug(request.node.name)}.png")
    context.close()


@pytest.fixture
def traffic(page: Page, lab: LabServer) -> Traffic:
    """What the page asks of the network and complains about; ask for it before opening."""
    return Traffic.of(page, urlsplit(lab.url).netloc)


@pytest.fixture
def open_notebook(
    page: Page, lab: LabServer, traffic: Traffic, request: pytest.FixtureRequest
) -> Open:
    """Return a function that opens a copy of a notebook, alone in its folder, and waits for it."""

    def open_copy(source: Path) -> Notebook:
        name = slug(request.node.name)
        folder = lab.root / name
        folder.mkdir()
        path = folder / source.name
        shutil.copyfile(source, path)
        page.goto(f"{lab.url}/lab/workspaces/{name}/tree/{name}/{source.name}?token={lab.token}")
        notebook = Notebook(page, path)
        notebook.wait_ready()
        return notebook

    return open_copy
