"""What a page asked of the network, and what it complained about."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Page

LOCAL_SCHEMES = frozenset({"data", "blob", "about", "chrome-error"})


@dataclass
class Traffic:
    """Requests, console errors and uncaught errors of one page, as they happened."""

    host: str
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, page: Page, host: str) -> Traffic:
        """Watch `page`, which may talk to `host` only."""
        seen = cls(host)
        page.on("request", lambda request: seen.requests.append(request.url))
        page.on("websocket", lambda socket: seen.requests.append(socket.url))
        page.on("pageerror", lambda error: seen.errors.append(f"uncaught: {error}"))
        page.on("console", seen._console)
        return seen

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            place = message.location.get("url", "")
            self.errors.append(f"{message.text} ({place})")

    def foreign(self) -> list[str]:
        """Return the requests that would leave this machine."""
        return [url for url in self.requests if not self._is_local(url)]

    def _is_local(self, url: str) -> bool:
        parts = urlsplit(url)
        return parts.scheme in LOCAL_SCHEMES or parts.netloc == self.host

    def assert_clean(self) -> None:
        """Fail unless all requests stayed here and nothing went wrong in the page."""
        assert self.requests, "The page asked for nothing: was it opened?"
        assert not self.foreign(), f"Requests left the machine: {self.foreign()}"
        assert not self.errors, "Errors in the page:\n" + "\n".join(self.errors)
