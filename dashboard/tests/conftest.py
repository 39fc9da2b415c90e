"""The browser that the application's own page is tested in."""

import pytest

from frontend.tests import browser


def pytest_configure(config: pytest.Config) -> None:
    # Not by importing fixtures, which would make them anew in each folder.
    if not config.pluginmanager.is_registered(browser):
        config.pluginmanager.register(browser)
