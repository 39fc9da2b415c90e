"""The connection pool, and the session that a request works in."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import NullPool
from sqlmodel import Session

from app.settings import Settings

POOL_SIZE = 5
POOL_OVERFLOW = 5


class Database:
    """Two ways to the database: the pool that requests share, and single connections for the readiness check."""

    def __init__(self, settings: Settings) -> None:
        """Prepare both; nothing is connected yet."""
        arguments: dict[str, str | int] = {
            "application_name": settings.pod_name,
            "connect_timeout": 2,  # seconds; libpq's minimum
            "keepalives_idle": 5,  # seconds; a peer that vanished while a query ran is found 5 + 3 x 1 s later
            "keepalives_interval": 1,
            "keepalives_count": 3,
            "tcp_user_timeout": 1_000,  # ms; the same for a peer that vanished before the query was sent
            "options": "-c statement_timeout=2000",  # ms; below the request's own deadline
        }
        self.engine: Engine = create_engine(
            settings.database,
            connect_args=arguments,
            max_overflow=POOL_OVERFLOW,
            pool_pre_ping=True,
            pool_recycle=1_800,  # seconds
            pool_size=POOL_SIZE,
            pool_timeout=1,  # seconds; with connect_timeout still within a request's deadline of 3
        )
        # A pool exhausted by load must not look like a lost database, so the readiness check stays out of it.
        self.probe: Engine = create_engine(settings.database, connect_args=arguments, poolclass=NullPool)

    def dispose(self) -> None:
        """Close the idle connections; those in use close when they are given back."""
        self.engine.dispose()


def _session(request: Request) -> Iterator[Session]:
    database: Database = request.app.state.database
    # Answers are built after the commit, which must not cost a second query.
    with Session(database.engine, expire_on_commit=False) as session:
        yield session


DatabaseSession = Annotated[Session, Depends(_session)]
