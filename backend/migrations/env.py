"""Runs the migrations over one connection, one process at a time."""

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

from alembic import context
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.pool import NullPool
from sqlmodel import SQLModel
from sqlmodel.sql.sqltypes import AutoString

import app.models  # noqa: F401 - fills SQLModel.metadata
from app.settings import load_settings

LOCK = 0x746F646F  # "todo"
TURN = "120s"  # how long another process may hold the migrations
# Who waits for a table holds up everyone who comes after, and the backend's statements have two seconds. app.migrate
# tries again.
STATEMENT_LOCK = "1s"
STATEMENT = "60s"  # a migration that may take longer says so itself: SET LOCAL statement_timeout

# The backend reads which revision there is. What roles get of every new table would let it write that as well.
PROTECT = """
DO $$
BEGIN
  IF to_regclass('alembic_version') IS NOT NULL AND EXISTS (SELECT FROM pg_roles WHERE rolname = 'todo_app') THEN
    REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM todo_app;
  END IF;
END
$$
"""


def plain_string(kind: str, item: object, _context: object) -> str | Literal[False]:
    """Write SQLModel's type for text as SQLAlchemy's, so that a generated migration needs no further import."""
    return f"sa.String({item.length})" if kind == "type" and isinstance(item, AutoString) else False


def connected() -> AbstractContextManager[Connection]:
    """Return the connection of app.migrate, or a new one for the alembic command, which gives none."""
    given = context.config.attributes.get("connection")
    if given is not None:
        return nullcontext(given)
    url = context.config.attributes.get("url") or load_settings().database
    arguments = {"application_name": "migrate", "connect_timeout": 5}
    return create_engine(url, poolclass=NullPool, connect_args=arguments).connect()


with connected() as connection:
    connection.execute(text(f"SET lock_timeout = '{TURN}'"))
    # The session's lock and not the transaction's: a migration may commit in the middle, for CREATE INDEX CONCURRENTLY.
    connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": LOCK})
    connection.execute(text(f"SET lock_timeout = '{STATEMENT_LOCK}'"))
    connection.execute(text(f"SET statement_timeout = '{STATEMENT}'"))
    connection.commit()
    context.configure(
        connection=connection,
        render_item=plain_string,
        target_metadata=SQLModel.metadata,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.execute(text(PROTECT))
    connection.commit()
