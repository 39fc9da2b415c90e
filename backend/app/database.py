"""The connection pool, the session that a request works in, and how long each may wait for the database."""

import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Annotated, Any

import psycopg2
from fastapi import Depends, Request
from psycopg2 import extensions
from sqlalchemy import Connection, Dialect, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import NullPool
from sqlmodel import Session

from app.settings import Settings

POOL_SIZE = 5
POOL_OVERFLOW = 5
# Seconds. A request has its connection by then, or is answered 503: with that within 3 s.
ACQUISITION = 2.5
POOL_WAIT = 1.0  # of it, for a connection that another request gives back
CONNECT = 2.0  # and for a new one
STATEMENT = 2.0  # after which the server itself ends a statement
ANSWER = 2.5  # after which a server that says nothing is given up; longer, so that its own word comes first

_CONNECTED = (extensions.STATUS_READY, extensions.STATUS_BEGIN, extensions.STATUS_PREPARED)
# When whatever this thread waits for must have come, in seconds of the monotonic clock.
_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


class Database:
    """Two ways to the database: the pool that requests share, and single connections for the readiness check."""

    def __init__(self, settings: Settings) -> None:
        """Prepare both; nothing is connected yet."""
        # Of the whole process: for each connection it decides by its class.
        extensions.set_wait_callback(_wait)
        arguments = {
            "application_name": settings.pod_name,
            "connection_factory": _BoundedConnection,
            "options": f"-c statement_timeout={STATEMENT * 1_000:.0f}",  # ms
            "tcp_user_timeout": 1_000,  # ms; a peer that vanished is found out while it is sent to
        }
        self.engine: Engine = create_engine(
            settings.database,
            connect_args=arguments,
            max_overflow=POOL_OVERFLOW,
            pool_pre_ping=True,
            pool_recycle=1_800,  # seconds
            pool_size=POOL_SIZE,
            pool_timeout=POOL_WAIT,
        )
        # A pool exhausted by load must not look like a lost database, so the readiness check stays out of it.
        self.probe: Engine = create_engine(settings.database, connect_args=arguments, poolclass=NullPool)
        if settings.database_password_next:
            for engine in (self.engine, self.probe):
                _accept(settings.database_password_next.get_secret_value(), engine)

    def dispose(self) -> None:
        """Close the idle connections; those in use close when they are given back."""
        self.engine.dispose()


def _accept(password: str, engine: Engine) -> None:
    """Let the engine log in with this password, too, where its own is refused: both are good while they are rotated."""

    @event.listens_for(engine, "do_connect")
    def connect(dialect: Dialect, _record: object, arguments: list[Any], parameters: dict[str, Any]) -> DBAPIConnection:
        try:
            return dialect.connect(*arguments, **parameters)
        except psycopg2.OperationalError as error:
            if "password authentication failed" not in str(error):
                raise
        return dialect.connect(*arguments, **parameters | {"password": password})


class _BoundedConnection(extensions.connection):
    """A connection whose server is waited for as long as within() says, or else ANSWER seconds at a time."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Give up whatever this thread waits for of the database when the time is up: with an OperationalError."""
    token = _deadline.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


def _wait(connection: extensions.connection) -> None:
    """Wait until the server has done what it was asked to do; psycopg2 calls this in place of waiting itself.

    Raises OperationalError when the time is up, upon which psycopg2 closes the connection.
    """
    began = time.monotonic()
    deadline = None
    if isinstance(connection, _BoundedConnection):
        deadline = _deadline.get() or began + ANSWER
        if connection.status not in _CONNECTED:
            deadline = min(deadline, began + CONNECT)
    while (state := connection.poll()) != extensions.POLL_OK:
        waiting = select.poll()
        waiting.register(connection.fileno(), select.POLLIN if state == extensions.POLL_READ else select.POLLOUT)
        # An answer that is there counts, however late this process comes to look for it.
        left = None if deadline is None else max(deadline - time.monotonic(), 0)
        if not waiting.poll(None if left is None else left * 1_000):
            raise psycopg2.OperationalError(f"no answer from the database within {time.monotonic() - began:.1f} s")


def _connection(database: Database) -> Connection:
    """Return a connection that has just answered."""
    with within(ACQUISITION):
        return database.engine.connect()


def _session(request: Request) -> Iterator[Session]:
    # Answers are built after the commit, which must not cost a second query.
    with _connection(request.app.state.database) as connection, Session(connection, expire_on_commit=False) as session:
        yield session


DatabaseSession = Annotated[Session, Depends(_session)]
