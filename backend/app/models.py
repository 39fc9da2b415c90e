"""The todo table and the shapes of requests and answers."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import Column, Identity, Integer, false
from sqlmodel import Field as Attribute
from sqlmodel import SQLModel

TITLE_LENGTH = 200
DESCRIPTION_LENGTH = 2_000


class Todo(SQLModel, table=True):
    """A row of the table todo."""

    id: int | None = Attribute(default=None, sa_column=Column(Integer, Identity(), primary_key=True))
    title: str = Attribute(max_length=TITLE_LENGTH)
    description: str | None = Attribute(default=None, max_length=DESCRIPTION_LENGTH)
    completed: bool = Attribute(default=False, sa_column_kwargs={"server_default": false()})


def _without_nul(text: str) -> str:
    """Refuse the one character that PostgreSQL cannot store in a text."""
    if "\0" in text:
        raise ValueError("must not contain the NUL character")
    return text


Title = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=TITLE_LENGTH),
    AfterValidator(_without_nul),
    Field(examples=["Buy milk"], json_schema_extra={"pattern": r"^[^\x00]*[^\s\x00][^\x00]*$"}),
]
Description = Annotated[
    str,
    StringConstraints(max_length=DESCRIPTION_LENGTH),
    AfterValidator(_without_nul),
    Field(examples=["Two litres"], json_schema_extra={"pattern": r"^[^\x00]*$"}),
]


class TodoCreate(BaseModel):
    """A todo to add."""

    title: Title
    description: Description | None = None


class TodoUpdate(BaseModel):
    """Changes to a todo. Only the fields sent count, so the defaults of `title` and `completed` are never used."""

    title: Title = Field(default_factory=str)
    description: Description | None = None
    completed: bool = Field(default_factory=bool, strict=True)


class TodoRead(BaseModel):
    """A todo as answers show it."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    title: str
    description: str | None
    completed: bool


class Problem(BaseModel):
    """Why a request was not carried out."""

    detail: str
