"""Whether this process should be sent requests: the database answers, its schema fits, and no shutdown has begun."""

import asyncio
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, OperationalError

from app.database import within

MIGRATIONS = Path(__file__).parent.parent / "migrations"
BUDGET = 1.0  # seconds that a check may take
FRESH = 1.0  # seconds that its result is used again


@dataclass(frozen=True)
class Revisions:
    """The schema revisions that this code knows."""

    head: str | None
    known: frozenset[str]

    @classmethod
    def of(cls, migrations: Path) -> "Revisions":
        """Read them from a directory of migrations."""
        scripts = ScriptDirectory(str(migrations))
        return cls(scripts.get_current_head(), frozenset(script.revision for script in scripts.walk_revisions()))

    def accept(self, applied: frozenset[str]) -> bool:
        """Tell whether a database with these revisions applied will do: our own, or one from after our time."""
        return self.head in applied or (bool(applied) and not applied & self.known)


@dataclass(frozen=True)
class Report:
    """The outcome of a check, in words for a person."""

    ready: bool
    database: str
    schema: str


class Readiness:
    """Checks at most once at a time and once in FRESH seconds, however often it is asked."""

    def __init__(self, engine: Engine, migrations: Path = MIGRATIONS) -> None:
        """Prepare; nothing is read or connected yet."""
        self.draining = False
        self._engine = engine
        self._migrations = migrations
        self._check: asyncio.Future[Report] | None = None
        self._started = 0.0

    async def report(self) -> Report:
        """Return the state of the database, within BUDGET seconds."""
        check = self._check
        # A check that hangs is waited for, never doubled.
        if check is None or (check.done() and time.monotonic() - self._started >= FRESH):
            self._started = time.monotonic()
            self._check = check = asyncio.ensure_future(asyncio.to_thread(self._inspect))
        remaining = self._started + BUDGET - time.monotonic()
        await asyncio.wait({check}, timeout=max(remaining, 0))
        if check.done():
            return check.result()
        return Report(ready=False, database=f"no answer within {BUDGET:.0f} s", schema="unknown")

    @cached_property
    def _revisions(self) -> Revisions:
        return Revisions.of(self._migrations)

    def _accepts(self, applied: frozenset[str]) -> bool:
        if not self._revisions.accept(applied):
            # During development a migration may have been taken back since.
            del self._revisions
        return self._revisions.accept(applied)

    def _inspect(self) -> Report:
        try:
            with within(BUDGET), self._engine.connect() as connection:
                present = connection.scalar(text("SELECT to_regclass('alembic_version') IS NOT NULL"))
                rows = connection.scalars(text("SELECT version_num FROM alembic_version")) if present else ()
                applied = frozenset(str(row) for row in rows)
        except OperationalError as error:
            reason = str(error.orig).strip().splitlines()[0]
            return Report(ready=False, database=reason, schema="unknown")
        except DBAPIError as error:
            return Report(ready=False, database="ok", schema=str(error.orig).strip().splitlines()[0])
        ready = self._accepts(applied)
        found = ", ".join(sorted(applied)) or "none"
        return Report(ready, "ok", f"{found}" if ready else f"{found}, but this code needs {self._revisions.head}")
