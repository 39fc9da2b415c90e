"""SQL for preparing and inspecting a test's database."""

from contextlib import closing
from typing import Any

import psycopg2


def execute(url: str, *statements: str) -> list[tuple[Any, ...]]:
    """Run statements, each in its own transaction, and return the rows of the last one."""
    rows: list[tuple[Any, ...]] = []
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement)
            rows = cursor.fetchall() if cursor.description else []
    return rows
