"""uvicorn's configuration for one process: logging first, then the application."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import uvicorn
from uvicorn.config import LOGGING_CONFIG
from uvicorn.importer import import_from_string

from warmfork.failure import Failure
from warmfork.server.failed_application import FailedApplication
from warmfork.server.logs import keep_loggers

# For an application that only shows a failure: in the plainest way, for any option may be the cause.
_PLAIN: Mapping[str, Any] = {
    "interface": "asgi3", "lifespan": "on", "factory": False, "log_config": LOGGING_CONFIG,
    "loop": "asyncio", "http": "auto", "ws": "auto",
}  # fmt: skip


def configure(app: str, options: Mapping[str, Any], graceful_timeout: float, failure: Failure | None) -> uvicorn.Config:
    """Return the configuration, which has set up logging: before the application is imported, as uvicorn does.

    options: of uvicorn.Config; graceful_timeout: seconds.
    """
    own = {**(_plainly(options) if failure else options), "timeout_graceful_shutdown": graceful_timeout}
    with keep_loggers():
        # A number of workers, so that WEB_CONCURRENCY does not count.
        return uvicorn.Config(app, **{**own, "workers": 1})


def _plainly(options: Mapping[str, Any]) -> dict[str, Any]:
    return {**{name: value for name, value in options.items() if name != "http2"}, **_PLAIN}


def load(config: uvicorn.Config, failure: Failure | None) -> None:
    """Import the application, or take one that shows the failure. Raises what importing it raises, and SystemExit."""
    config.app = FailedApplication(failure) if failure else import_from_string(str(config.app))
    config.load()


def loop_factory(config: uvicorn.Config) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes the event loop; None where the loop's policy does."""
    if hasattr(config, "get_loop_factory"):
        return config.get_loop_factory()
    # Before 0.36.
    config.setup_event_loop()
    return None
