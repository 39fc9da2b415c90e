"""The tables."""

from sqlmodel import Field, Relationship, SQLModel

REVISION = 0


class Owner(SQLModel, table=True):
    """A person."""

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(index=True, max_length=100)
    items: list["Item"] = Relationship(back_populates="owner")


class Item(SQLModel, table=True):
    """Something that a person owns."""

    id: int | None = Field(default=None, primary_key=True)
    title: str = Field(max_length=200)
    price: float = 0
    owner_id: int | None = Field(default=None, foreign_key="owner.id")
    owner: Owner | None = Relationship(back_populates="items")
