"""A page that is open in a browser, and when it shows what was saved."""

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from bench.saves import Edit, Mode
from devenv.failure import Failure

BROWSERS = ("chromium", "google-chrome", "chromium-browser")
URL = "http://localhost:8080/"
MARK = "shown: "
# In every document, at every frame: what is on the screen, told whenever it has changed. The page's own security policy
# is in force, and forbids none of this.
LOOK = """
(() => {
  let told;
  const look = () => {
    const heading = document.querySelector("h1");
    if (heading) {
      const style = getComputedStyle(heading);
      const shown = { html: heading.textContent, css: style.paddingLeft, js: style.paddingRight };
      const text = "MARK" + JSON.stringify(shown);
      if (text !== told) {
        told = text;
        console.log(text);
      }
    }
    requestAnimationFrame(look);
  };
  look();
})();
""".replace("MARK", MARK)

HEADING = "<h1>Todos</h1>"


class PageFile:
    """A file of the page, and edits of it that can be seen: another heading, or room beside it."""

    def __init__(self, folder: Path, name: str) -> None:
        """Take index.html, style.css or app.js of the folder as it is now."""
        self._path = folder / name
        self._text = self._path.read_text()
        self.kind = name.rpartition(".")[2]
        if self.kind == "html" and HEADING not in self._text:
            raise Failure(name, f"{HEADING} is not in it", "adapt bench/page.py to the page")

    def edit(self, number: int) -> Edit:
        """Return an edit whose version is what the page then shows under `kind`."""
        if self.kind == "html":
            return Edit(self._path, self._text.replace(HEADING, f"<h1>Todos {number}</h1>"), f"Todos {number}")
        if self.kind == "css":
            return Edit(self._path, f"{self._text}\nh1 {{ padding-left: {number}px; }}\n", f"{number}px")
        change = f'document.querySelector("h1").style.paddingRight = "{number}px";'
        return Edit(self._path, f"{self._text}\n{change}\n", f"{number}px")


class OpenPage:
    """The application's page in a browser's only, visible tab."""

    def __init__(self, page: Page, url: str) -> None:
        """Open the page."""
        self._page = page
        page.add_init_script(LOOK)
        with page.expect_console_message(lambda message: message.text.startswith(MARK)):
            page.goto(url)

    def shows(self, kind: str, edit: Edit, mode: Mode, seconds: float) -> float | None:
        """Save the edit; return how many milliseconds later the page shows its version, None if not in time.

        The time is taken when the browser's report arrives here, a moment after the frame.
        """
        moments: list[float] = []

        def is_shown(message: ConsoleMessage) -> bool:
            shown = message.text.startswith(MARK) and json.loads(message.text.removeprefix(MARK))[kind] == edit.version
            if shown:
                moments.append(time.monotonic())
            return shown

        try:
            with self._page.expect_console_message(is_shown, timeout=1000 * seconds):
                saved = edit.save(mode)
        except PlaywrightTimeout:
            return None
        return 1000 * (moments[0] - saved)


@contextmanager
def open_page(url: str = URL) -> Iterator[OpenPage]:
    """Open the page in Chromium while the context lasts."""
    with open_browser() as browser:
        yield OpenPage(browser.new_page(), url)


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Run Chromium while the context lasts."""
    with sync_playwright() as playwright:
        # Chromium refuses its sandbox to root.
        browser = playwright.chromium.launch(executable_path=_browser(), chromium_sandbox=os.geteuid() != 0)
        try:
            yield browser
        finally:
            browser.close()


def _browser() -> str:
    names = (os.environ["CHROMIUM"],) if "CHROMIUM" in os.environ else BROWSERS
    for path in filter(None, map(shutil.which, names)):
        return path
    raise Failure("browser", f"none of {', '.join(names)} is on PATH", "apt-get install chromium, or set CHROMIUM")
