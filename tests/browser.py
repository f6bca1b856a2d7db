"""Pages in the system's Chromium, which reaches no network and hides no error."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

# The first three keep Chromium from looking for a graphics card and from calling home.
_FLAGS = [
    *("--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--disable-quic", "--disable-sync", "--no-first-run", "--no-sandbox"),
]


@contextmanager
def chromium() -> Iterator[Any]:
    """The browser; the test is skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api")
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip("there is no Chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=_FLAGS)
        yield browser
        browser.close()


class Visit:
    """A page that is open, and everything that it must not do."""

    def __init__(self, browser: Any, allowed: tuple[str, ...] = (), **settings: Any) -> None:
        self.context = browser.new_context(
            **{"viewport": {"width": 1280, "height": 760}} | settings
        )
        self.context.set_default_timeout(10_000)
        self.page = self.context.new_page()
        self.allowed = ("file:", "data:", "about:", "blob:", *allowed)
        self.asked: list[str] = []
        self.errors: list[str] = []
        self.context.route("**/*", self._route)
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _route(self, route: Any) -> None:
        if route.request.url.startswith(self.allowed):
            route.continue_()
        else:
            self.asked.append(route.request.url)
            route.abort()

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(message.text)

    def go(self, path: Path) -> Any:
        """Opens a file; gives playwright's page."""
        self.page.goto(path.as_uri())
        return self.page

    def close(self) -> None:
        """The end, at which it must have been silent and have asked the network for nothing."""
        self.context.close()
        assert not self.errors
        assert not self.asked
