"""What a child logs: set up as under uvicorn, without uvicorn's own account of each start and each end."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import uvicorn
from uvicorn import config as uvicorn_config
from uvicorn.lifespan import on as uvicorn_lifespan

from warmfork.failure import Failure

_LOGGER = "uvicorn.error"
_LIFESPAN_MISSING = "ASGI 'lifespan' protocol appears unsupported."

# What uvicorn says at each start and end, by level and template; one line of the parent tells of a reload instead.
ROUTINE = frozenset(
    {
        (logging.INFO, "Started server process [%d]"),
        (logging.INFO, "Waiting for application startup."),
        (logging.INFO, "Application startup complete."),
        (logging.INFO, "Shutting down"),
        (logging.INFO, "Waiting for connections to close. (CTRL+C to force quit)"),
        (logging.INFO, "Waiting for background tasks to complete. (CTRL+C to force quit)"),
        (logging.INFO, "Waiting for application shutdown."),
        (logging.INFO, "Application shutdown complete."),
        (logging.INFO, "Finished server process [%d]"),
    }
)
# While it starts, also these: many applications lack a lifespan on purpose, and failures are the parent's to tell.
ROUTINE_OF_START = frozenset(
    {(logging.INFO, _LIFESPAN_MISSING), (logging.ERROR, "Application startup failed. Exiting.")}
)
# A task that uvicorn itself ends with this word, because its time is over, has not gone wrong.
TASK_FAILED = (logging.ERROR, "Exception in ASGI application\n")
CANCELLED = "Task cancelled, timeout graceful shutdown exceeded"
# Applications log under the same name, and their lines are not uvicorn's.
_UVICORN = f"{Path(uvicorn.__file__).parent}/"
# An error from one of these files while it starts keeps it from starting.
_STARTING = frozenset(module.__file__ for module in (uvicorn_config, uvicorn_lifespan))


@contextmanager
def keep_loggers() -> Iterator[None]:
    """While logging is configured, keep what libraries have set up in the parent.

    Under uvicorn they are imported after that.
    """
    loggers = [one for one in logging.root.manager.loggerDict.values() if isinstance(one, logging.Logger)]
    before = [(one, one.level, one.handlers[:], one.propagate, one.disabled) for one in loggers]
    # logging.config closes each handler that is listed there.
    registered: list[Any] = logging._handlerList  # type: ignore[attr-defined]  # noqa: SLF001
    handlers = registered[:]
    registered.clear()
    try:
        yield
    finally:
        registered[:0] = handlers
        for logger, level, own, propagate, disabled in before:
            # What the configuration says of a logger by its name counts.
            if logger.disabled or (logger.level, logger.handlers, logger.propagate) == (logging.NOTSET, [], True):
                logger.setLevel(level)
                logger.handlers[:] = own
                logger.propagate = propagate
            logger.disabled = disabled


class RoutineFilter(logging.Filter):
    """Leaves out uvicorn's routine, and keeps the errors of a start for the parent to report."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: list[logging.LogRecord] = []
        self._starting = True

    def __enter__(self) -> Self:
        logging.getLogger(_LOGGER).addFilter(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger(_LOGGER).removeFilter(self)

    @property
    def failure(self) -> Failure | None:
        """Return why the start failed, as far as uvicorn has said it."""
        if not self._kept:
            return None
        record = self._kept[0]
        error = record.exc_info[1] if record.exc_info else None
        return Failure.of(error) if error else Failure.of_text(record.getMessage())

    def started(self) -> None:
        """Let errors through from now on, also those that did not keep it from starting."""
        self._starting = False
        kept, self._kept = self._kept, []
        for record in kept:
            logging.getLogger(_LOGGER).handle(record)

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether the record is to be logged."""
        if not record.pathname.startswith(_UVICORN):
            return True
        message = (record.levelno, str(record.msg))
        if message in ROUTINE or (self._starting and message in ROUTINE_OF_START):
            return False
        if self._starting and record.levelno >= logging.ERROR and record.pathname in _STARTING:
            self._kept.append(record)
            return False
        return not (message == TASK_FAILED and _is_cut_off(record))


def _is_cut_off(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return isinstance(error, asyncio.CancelledError) and error.args == (CANCELLED,)
