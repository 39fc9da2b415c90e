"""One Chromium for all tests of a process. Each has a tab of its own; a page that complains fails its test."""

import asyncio
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

# The first one has no windows to draw, and takes half the time.
BROWSER_NAMES = ("chromium-headless-shell", "chromium", "google-chrome", "chromium-browser")
ARGUMENTS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Else a page goes on to move for a while after the wheel has turned.
    "--disable-smooth-scrolling",
    # Most of what a test costs is otherwise the start of the process that its page is rendered in.
    "--process-per-site",
)
# What all servers of the tests belong to: to a site, ports make no difference.
SITE = "http://127.0.0.1/"
# A browser reports each error status by itself; the page's own handling of them is what the tests look at.
REPORTED_STATUS = re.compile(
    r"Failed to load resource: (the server responded with a status of|net::ERR_EMPTY_RESPONSE)"
)


def find_browser() -> str:
    """Return the path of Chromium or Chrome: the variable CHROMIUM if set, else the first on PATH."""
    names = (os.environ["CHROMIUM"],) if "CHROMIUM" in os.environ else BROWSER_NAMES
    for name in names:
        if path := shutil.which(name):
            return path
    pytest.fail(f"no browser: none of {', '.join(names)} found; run `apt-get install chromium` or set CHROMIUM")


class Complaints(list[str]):
    """What the page's console, scripts and requests complained about."""

    def watch(self, page: Page, origin: str) -> None:
        page.on("console", lambda message: self._note(message.text) if message.type in {"error", "warning"} else None)
        page.on("pageerror", lambda error: self._note(f"uncaught: {error}"))
        page.on("request", lambda request: None if request.url.startswith(origin) else self._note(request.url))

    def _note(self, text: str) -> None:
        if not REPORTED_STATUS.match(text):
            self.append(text)


@dataclass(frozen=True)
class Window:
    """A window of the browser, and the event loop of what drives it."""

    context: BrowserContext
    loop: asyncio.AbstractEventLoop

    @contextmanager
    def in_use(self) -> Iterator[BrowserContext]:
        """Let Playwright's loop be the running one. Left as such, which Playwright does, it would hinder all others."""
        asyncio._set_running_loop(self.loop)
        try:
            yield self.context
        finally:
            asyncio._set_running_loop(None)


@pytest.fixture(scope="session")
def window() -> Iterator[Window]:
    """Provide a window whose first tab keeps alive the process that renders the tabs of the tests."""
    # Chromium refuses its sandbox to root.
    arguments = [*ARGUMENTS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=arguments)
        context = browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
        first = context.new_page()
        first.route(SITE, lambda route: route.fulfill(content_type="text/html", body=""), times=1)
        first.goto(SITE)
        window = Window(context, asyncio.get_running_loop())
        asyncio._set_running_loop(None)
        yield window
        asyncio._set_running_loop(window.loop)
        browser.close()


@pytest.fixture
def context(window: Window) -> Iterator[BrowserContext]:
    """Provide the window for one test. The tabs that it opens are closed again."""
    expect.set_options(timeout=10_000)
    with window.in_use() as context:
        yield context
        for page in context.pages[1:]:
            page.close()
        context.clear_permissions()


@pytest.fixture
def complaints() -> Complaints:
    return Complaints()
