"""SQL for preparing and inspecting a test's database."""

from typing import Any

from sqlalchemy import create_engine, make_url
from sqlalchemy.pool import NullPool

from app.settings import DRIVER


def execute(url: str, *statements: str) -> list[tuple[Any, ...]]:
    """Run statements, each in its own transaction, and return the rows of the last one."""
    rows: list[tuple[Any, ...]] = []
    engine = create_engine(make_url(url).set(drivername=DRIVER), poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            result = connection.exec_driver_sql(statement)
            rows = [tuple(row) for row in result] if result.returns_rows else []
    return rows
