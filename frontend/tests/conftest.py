"""A page on the fake API, and replicas of everything."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Page

from frontend.tests import browser
from frontend.tests.browser import Complaints
from frontend.tests.fake_api import FakeApi, FakeServer
from frontend.tests.replicas import Replicas, running_replicas


def pytest_configure(config: pytest.Config) -> None:
    # Not by importing fixtures, which would make them anew in each folder.
    if not config.pluginmanager.is_registered(browser):
        config.pluginmanager.register(browser)


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeServer() as server:
        yield server.api


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
