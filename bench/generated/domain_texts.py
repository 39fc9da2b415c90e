"""What the other modules of a domain hold: templates with its name and title, and the module's part."""

SQLMODEL = '''"""The tables of $name."""

from sqlmodel import Field, SQLModel

from app.core.constants import PAGE_SIZE
from app.core.shared import slug


class $title(SQLModel, table=True):
    """Something that a customer has."""

    __tablename__ = slug("$name")

    id: int | None = Field(default=None, primary_key=True)
    title: str = Field(index=True, max_length=200)
    amount: float = 0
    limit: int = PAGE_SIZE
    revision: int = Field(default=1000)
    parent_id: int | None = Field(default=None, foreign_key="$name.id")
'''

DECLARATIVE = '''"""The tables of $name."""

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.core.constants import PAGE_SIZE
from app.core.database import Base
from app.core.shared import slug


class $title(Base):
    """Something that a customer has."""

    __tablename__ = slug("$name")

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(200), index=True)
    amount: Mapped[float] = mapped_column(default=0)
    limit: Mapped[int] = mapped_column(default=PAGE_SIZE)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("$name.id"))
    children: Mapped[list["$title"]] = relationship()
'''

SCHEMAS = '''"""The shapes of requests and answers about $name."""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from app.core.constants import PAGE_SIZE
from app.core.shared import slug
$imports

Title = Annotated[str, Field(min_length=1, max_length=200)]


class ${title}State(StrEnum):
    """Where it stands."""

    DRAFT = "draft"
    DONE = "done"


class ${title}Write(BaseModel):
    """One to add or to change."""

    title: Title
    amount: Annotated[float, Field(ge=0)] = 0
    state: ${title}State = ${title}State.DRAFT

    @field_validator("title")
    @classmethod
    def strip(cls, title: str) -> str:
        """Leave out what surrounds it."""
        return title.strip()


class ${title}Read(${title}Write):
    """One as answers show it."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    address: str = slug("$name")


class ${title}Page(BaseModel):
    """Some of them."""

    rows: list[${title}Read]
    limit: int = PAGE_SIZE


class ${title}Status(BaseModel):
    """The number by which an edit of a schema is recognised."""

    revisions: list[int] = [1000]
$uses
'''

RELATED = '''

class Related(BaseModel):
    """What belongs to one."""

'''

ERRORS = '''"""What can go wrong with $name."""

from app.core.constants import PAGE_SIZE
from app.core.shared import slug


class ${title}Error(Exception):
    """Anything about $name."""

    code = slug("$name error")


class ${title}LimitError(${title}Error):
    """Too many."""

    limit = PAGE_SIZE
'''

REPOSITORY = '''"""Where $name are kept."""

from sqlalchemy import select
from sqlmodel import Session

from app.core.constants import PAGE_SIZE
from app.core.shared import slug
from app.domains.$name.errors import ${title}Error, ${title}LimitError
from app.domains.$name.models import $title


class ${title}Repository:
    """All of them."""

    name = slug("$name")

    def __init__(self, session: Session) -> None:
        """Use the session."""
        self._session = session

    def find(self, identifier: int) -> $title:
        """Return one. Raises an error if there is none."""
        found = self._session.get($title, identifier)
        if found is None:
            raise ${title}Error(identifier)
        return found

    def page(self, limit: int = PAGE_SIZE) -> list[$title]:
        """Return some."""
        if limit > PAGE_SIZE:
            raise ${title}LimitError(limit)
        return list(self._session.execute(select($title).limit(limit)).scalars())

    def add(self, **values: object) -> $title:
        """Add one."""
        added = $title(**values)
        self._session.add(added)
        self._session.commit()
        return added
'''

SERVICE = '''"""What the application does with $name."""

import logging
from functools import lru_cache

from sqlmodel import Session

from app.core.constants import PAGE_SIZE
from app.core.shared import slug
from app.domains.$name.repository import ${title}Repository
from app.domains.$name.schemas import ${title}Write
$imports

log = logging.getLogger(__name__)
USED = ($uses)


@lru_cache
def address(title: str) -> str:
    """Return where one of this title is found."""
    return f"/$name/{slug(title)}"


class ${title}Service:
    """Everything for one request."""

    def __init__(self, session: Session) -> None:
        """Use the session."""
        self._repository = ${title}Repository(session)

    def create(self, wanted: ${title}Write) -> object:
        """Add one."""
        log.debug("adding %s", wanted.title)
        return self._repository.add(title=wanted.title, amount=wanted.amount)

    def page(self) -> list[object]:
        """Return some."""
        return [*self._repository.page(PAGE_SIZE)]

    def total(self) -> float:
        """Return the sum of all amounts."""
        return sum(row.amount for row in self._repository.page())
'''

# Of no request: what grows beside the routes.
PLAIN = '''"""The $part of $name."""

from dataclasses import dataclass, field
from functools import lru_cache

from app.core.constants import PAGE_SIZE
from app.core.shared import slug


@dataclass(frozen=True)
class ${title}${part}:
    """A step of them."""

    name: str = slug("$name $part")
    size: int = PAGE_SIZE
    notes: tuple[str, ...] = field(default=())

    def run(self, rows: list[float]) -> float:
        """Add up what counts."""
        return sum(row for row in rows[: self.size] if row > 0)

    def describe(self) -> str:
        """Return a line for the log."""
        return f"{self.name}: {', '.join(self.notes) or 'nothing'}"


@lru_cache
def default() -> ${title}${part}:
    """Return the usual one."""
    return ${title}${part}(notes=(slug("$name"),))


USUAL = default()
'''
