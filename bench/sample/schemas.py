"""The shapes of requests and answers."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

REVISION = 0

Name = Annotated[str, Field(min_length=1, max_length=100)]
Title = Annotated[str, Field(min_length=1, max_length=200)]


class OwnerCreate(BaseModel):
    """A person to add."""

    name: Name


class OwnerRead(OwnerCreate):
    """A person as answers show it."""

    model_config = ConfigDict(from_attributes=True)

    id: int


class ItemCreate(BaseModel):
    """An item to add."""

    title: Title
    price: Annotated[float, Field(ge=0)] = 0
    owner_id: int | None = None


class ItemRead(ItemCreate):
    """An item as answers show it."""

    model_config = ConfigDict(from_attributes=True)

    id: int
