"""A browser and a page on the fake API; a page that complains about anything unexpected fails its test."""

import os
import re
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from frontend.tests.fake_api import FakeApi, FakeServer
from frontend.tests.replicas import Replicas, running_replicas

BROWSER_NAMES = ("chromium", "google-chrome", "chromium-browser")
QUIET_ARGUMENTS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
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


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = find_browser()
    # Chromium refuses its sandbox to root.
    arguments = [*QUIET_ARGUMENTS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    # Not for longer than a module: what drives it keeps an event loop running, which other tests must not find.
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeServer() as server:
        yield server.api


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    expect.set_options(timeout=10_000)
    context = browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    yield context
    context.close()


@pytest.fixture
def complaints() -> Complaints:
    return Complaints()


@pytest.fixture
def page(context: BrowserContext, api: FakeApi, complaints: Complaints) -> Iterator[Page]:
    """Provide a page that has not gone anywhere yet, since most tests put todos into `api` first."""
    page = context.new_page()
    complaints.watch(page, api.url)
    yield page
    assert complaints == []


@pytest.fixture(scope="session")
def shared_replicas() -> Iterator[Replicas]:
    with running_replicas() as replicas:
        yield replicas


@pytest.fixture
def replicas(shared_replicas: Replicas) -> Replicas:
    shared_replicas.reset()
    return shared_replicas
