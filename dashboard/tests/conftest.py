"""A browser, as the application's own page has it."""

from frontend.tests.conftest import browser, complaints, context

__all__ = ["browser", "complaints", "context"]
