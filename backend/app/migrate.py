"""Bring the database's schema up to date: python -m app.migrate."""

import argparse
import sys
import time
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script.revision import ResolutionError
from alembic.util import CommandError
from psycopg2.errors import LockNotAvailable
from sqlalchemy import URL, Connection, create_engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from app.logs import configure_logs, logger
from app.settings import ConfigurationError, load_settings

CONFIGURATION = Path(__file__).parent.parent / "alembic.ini"
WAIT = 60.0  # seconds
LONGEST_PAUSE = 4.0  # seconds
TABLE_PAUSE = 2.0  # seconds, in which those who had to wait behind a migration get their turn


class MigrationError(Exception):
    """The schema is not up to date; the text is one line that says why."""


def _reason(error: Exception) -> str:
    """Return the error's first line, without the statement that SQLAlchemy adds."""
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]


def connect(url: URL, seconds: float) -> Connection:
    """Return a connection as soon as the database accepts one.

    A refused password is waited out as well, because a new database sets its passwords just after it has started.
    Raises MigrationError, naming the last refusal, when the time is up.
    """
    deadline = time.monotonic() + seconds
    arguments = {"application_name": "migrate", "connect_timeout": 3}
    engine = create_engine(url, poolclass=NullPool, connect_args=arguments)
    pause = 0.25
    while True:
        try:
            return engine.connect()
        except OperationalError as error:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise MigrationError(f"no connection to the database within {seconds:g} s: {_reason(error)}") from None
            logger.info("waiting for the database, %.0f s left: %s", remaining, _reason(error))
            time.sleep(min(pause, remaining))
            pause = min(pause * 2, LONGEST_PAUSE)


def migrate(url: URL, wait: float = WAIT) -> None:
    """Wait for the database and run the migrations that it lacks; other processes that do the same take turns.

    Raises MigrationError when the database stays away for `wait` seconds or a table in use, or when a migration fails
    and is undone.
    """
    deadline = time.monotonic() + wait
    # The one connection is used for all: that one was accepted does not say that the next would be.
    with connect(url, wait) as connection:
        while not _upgrade(connection, deadline - time.monotonic()):
            time.sleep(TABLE_PAUSE)
    logger.info("the schema is up to date")


def _upgrade(connection: Connection, remaining: float) -> bool:
    """Tell whether the migrations have run; not when a table is in use and there is time left to try again."""
    try:
        command.upgrade(Config(CONFIGURATION, attributes={"connection": connection}), "head")
    except CommandError as error:
        if not isinstance(error.__cause__, ResolutionError):
            raise MigrationError(f"the migrations cannot be followed: {error}") from error
        raise MigrationError(
            f"the database is at revision {error.__cause__.argument}, which is not among these migrations: other code "
            "has migrated it. Go back to that code, or restore a backup from before it"
        ) from error
    except Exception as error:
        if isinstance(getattr(error, "orig", None), LockNotAvailable) and remaining > TABLE_PAUSE:
            logger.info("a table is in use, %.0f s left: %s", remaining, _reason(error))
            connection.rollback()
            return False
        logger.exception("migration failed")
        raise MigrationError(f"the migration failed and was undone: {_reason(error)}") from error
    return True


def main() -> int:
    """Migrate; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m app.migrate", description=__doc__)
    parser.add_argument(
        "--wait", type=float, default=WAIT, help="seconds to wait for the database (default %(default)g)"
    )
    arguments = parser.parse_args()
    try:
        settings = load_settings()
        configure_logs(settings.log_format)
        migrate(settings.database, arguments.wait)
    except (ConfigurationError, MigrationError) as error:
        # Last on both streams, so that it is the last line of the container's log.
        sys.stdout.flush()
        print(f"todo-migrate: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
