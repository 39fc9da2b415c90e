"""What the modules hold that a generated application has once."""

MAIN = '''"""The application."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from app.api.router import router
from app.core.constants import TITLE
from app.core.database import ping
$imports


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Serve only once the database answers, and whatever else takes its time."""
    ping()
    await asyncio.sleep($lifespan)
    yield


app = FastAPI(title=TITLE, lifespan=lifespan)
app.include_router(router)
'''

CONSTANTS = '''"""What every module imports."""

TITLE = "Generated"
PAGE_SIZE = 1000
'''

SHARED = '''"""Functions that every module imports."""


def slug(text: str) -> str:
    """Return the text as an address shows it."""
    return "-".join(text.lower().split())


def revision() -> int:
    """Return the number by which an edit of this body is recognised."""
    return 1000
'''

DATABASE = '''"""The engine: SQLite in memory, so that no server is needed."""

from collections.abc import Iterator

from sqlalchemy import StaticPool, create_engine, text
from sqlalchemy.orm import DeclarativeBase
from sqlmodel import Session
$imports

engine = create_engine("sqlite://", connect_args={"check_same_thread": False}, poolclass=StaticPool)


class Base(DeclarativeBase):
    """Tables that are no SQLModel."""


def ping() -> None:
    """Ask the database for a sign of life."""
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))


def open_session() -> Iterator[Session]:
    """Provide a session for one request."""
    with Session(engine) as session:
        yield session
'''

INCLUDING = '''"""Puts routers together."""

from fastapi import APIRouter

$imports
from app.core.constants import PAGE_SIZE
from app.core.shared import slug

router = APIRouter(prefix="/$name", tags=[slug("$name")])
$uses
LIMIT = PAGE_SIZE
'''
