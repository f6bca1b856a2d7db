"""Pages in the system's Chromium, which reaches no network and hides no error."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from micrograd_plus.explorer import Explorer

# The first ones keep Chromium from looking for a graphics card, and from a process that would paint
# with it, and from calling home. The last one denies it the network at no cost, which asking about
# each request has.
_FLAGS = [
    *("--disable-gpu", "--in-process-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-quic", "--disable-sync"),
    *("--no-first-run", "--no-sandbox"),
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
]

PATIENCE = 60_000
"""Milliseconds after which a page has failed to do something; slow machines take seconds."""

LOCAL = ("file:", "data:", "about:", "blob:")
"""How the addresses begin that are not of a network."""


@contextmanager
def chromium() -> Iterator[Any]:
    """The browser; the test is skipped where there is none.

    The headless shell opens no windows with toolbars and takes a third of Chromium's time.
    """
    playwright = pytest.importorskip("playwright.sync_api")
    names = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip("there is no Chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=_FLAGS, timeout=PATIENCE)
        yield browser
        browser.close()


_UNPAINTED = """
const unpainted = new CSSStyleSheet();
unpainted.replaceSync(
  "html { opacity: 0 } .jp-KernelStatus-spinner { animation: none !important }");
document.adoptedStyleSheets = [unpainted];
addEventListener("beforeprint", () => { unpainted.disabled = true; });
"""
"""Nothing is seen, so that Chromium does not paint it; Jupyter's spinner would ask for 60 pictures
a second until a kernel has started."""


def new_context(browser: Any, painted: bool = False, **settings: Any) -> Any:
    """A context whose pages are laid out, and react to the mouse, but are painted on paper alone.

    No test looks at pixels, and painting takes a sixth of the processor's time.

    painted: for a page that is looked at.
    """
    context = browser.new_context(**settings)
    context.set_default_timeout(PATIENCE)
    if not painted:
        context.add_init_script(_UNPAINTED)
    return context


_AGAIN = """
() => {
  document.documentElement.style.display = "";
  for (const field of document.querySelectorAll("input")) field.value = field.defaultValue;
  $("speed").value = "1";
  $("print").open = false;
  $("rule").open = true;
  if (isPresenting()) present(false);
  begin(LESSON);
  document.activeElement.blur();
  scrollTo(0, 0);
}
"""
"""An explorer's page is again as it opens."""


_WINDOW = {"width": 1280, "height": 760}


class Visit:
    """A page that is open, and everything that it must not do."""

    def __init__(self, browser: Any, **settings: Any) -> None:
        self._look = {"color_scheme": "light", "reduced_motion": "reduce"}
        self.context = new_context(browser, **{"viewport": _WINDOW, **self._look, **settings})
        self.page = self.context.new_page()
        self.explorer = ""
        self.asked: list[str] = []
        self.errors: list[str] = []
        self.context.on("request", self._asked)
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _asked(self, request: Any) -> None:
        if not request.url.startswith(LOCAL):
            self.asked.append(request.url)

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(message.text)

    def go(self, path: Path) -> Any:
        """Opens a file; gives playwright's page."""
        self.explorer = ""
        self.page.goto(path.as_uri())
        return self.page

    def show(self, explorer: Explorer, path: Path) -> Any:
        """Opens an explorer's page, by a file; gives playwright's page.

        If it is open already, from the test before, it begins again: that takes half of the time.
        """
        content = explorer.html()
        if content == self.explorer:
            self.page.evaluate(_AGAIN)
            return self.page
        path.write_text(content, "utf-8")
        page = self.go(path)
        self.explorer = content
        return page

    def look(
        self,
        viewport: dict[str, int] | None = None,
        color_scheme: str = "light",
        reduced_motion: str = "reduce",
    ) -> None:
        """Gives the window a size, and says what its user prefers."""
        size = viewport or _WINDOW
        if self.page.viewport_size != size:
            self.page.set_viewport_size(size)
        self._look = {"color_scheme": color_scheme, "reduced_motion": reduced_motion}
        self.page.emulate_media(media="null", **self._look)

    def leave(self) -> None:
        """Makes the window ready for the next page; this one must be silent."""
        if self._look["reduced_motion"] != "reduce":
            self.page.goto("about:blank")  # else its animations go on and on
            self.explorer = ""
        # Else Chromium would lay it out when the window is given another size.
        self.page.evaluate("document.documentElement.style.display = 'none'")
        self.page.mouse.move(0, 0)
        self._assert_silent()

    def close(self) -> None:
        """The end, at which it must have been silent and have asked the network for nothing."""
        self.context.close()
        self._assert_silent()

    def _assert_silent(self) -> None:
        assert not self.errors
        assert not self.asked


def until(page: Any, holds: Callable[[], Any]) -> None:
    """Waits for what the page does later; playwright's own way needs `eval`, which pages forbid."""
    for _ in range(PATIENCE // 50):
        if holds():
            return
        page.wait_for_timeout(50)
    pytest.fail("it never came to this")


def let_pass(page: Any, milliseconds: int) -> None:
    """Waits by the page's own clock: what it does after a shorter time, it has done then."""
    page.evaluate("time => new Promise((done) => setTimeout(done, time))", milliseconds)


def after_each_press(page: Any, key: str, count: int, expression: str) -> list[Any]:
    """What an expression of the page gives after each of so many presses of a key.

    All in one call: the browser paints nothing in between, which takes longer than what is shown.
    """
    found: list[Any] = page.evaluate(
        f"""Array.from({{ length: {count} }}, () => {{
          const event = {{ key: "{key}", bubbles: true, cancelable: true }};
          document.activeElement.dispatchEvent(new KeyboardEvent("keydown", event));
          return {expression};
        }})"""
    )
    return found


class Windows:
    """Windows that tests use one after the other, as a window takes longer to make than a page."""

    def __init__(self, browser: Any) -> None:
        self._browser = browser
        self._free: list[Visit] = []

    @contextmanager
    def borrow(self) -> Iterator[Callable[..., Visit]]:
        """Gives what opens an empty window with some `look`, to be left empty at the end."""
        taken: list[Visit] = []

        def take(**look: Any) -> Visit:
            visit = self._free.pop() if self._free else Visit(self._browser)
            taken.append(visit)
            visit.look(**look)
            return visit

        yield take
        for visit in taken:
            visit.leave()
            self._free.append(visit)
