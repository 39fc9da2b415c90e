"""The engine: SQLite, so that no server is needed. PostgreSQL's driver is loaded all the same."""

from collections.abc import Iterator

import psycopg2
from sqlalchemy import Engine, StaticPool, create_engine, text
from sqlmodel import Session, SQLModel

from .settings import load_settings

REVISION = 0
UNAVAILABLE = psycopg2.OperationalError

engine: Engine = create_engine(
    load_settings().database_url, connect_args={"check_same_thread": False}, poolclass=StaticPool
)


def prepare() -> None:
    """Ask the database for a sign of life, and create the tables."""
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    SQLModel.metadata.create_all(engine)


def open_session() -> Iterator[Session]:
    """Provide a session for one request."""
    with Session(engine) as session:
        yield session
