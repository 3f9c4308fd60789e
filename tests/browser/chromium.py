"""Find a Chromium on this machine and start it without any way out to the network."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "microsoft-edge",
)
ARGUMENTS = (
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


def find() -> str | None:
    """Return the path of a Chromium: the one named by ``CHROMIUM``, or the first on the path."""
    chosen = os.environ.get("CHROMIUM")
    if chosen:
        return chosen
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def launch(playwright: Playwright) -> Browser:
    """Start the system's Chromium, or the one that playwright installed."""
    return playwright.chromium.launch(
        executable_path=find(), headless=True, args=list(ARGUMENTS), timeout=60_000
    )
