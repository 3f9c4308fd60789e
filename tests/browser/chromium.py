"""Start the system's Chromium without any way out to the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts import browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

ARGUMENTS = (
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


def launch(playwright: Playwright) -> Browser:
    """Start the browser that `scripts.browser` finds, or one that playwright installed itself."""
    return playwright.chromium.launch(
        executable_path=browser.find(), headless=True, args=list(ARGUMENTS), timeout=60_000
    )
