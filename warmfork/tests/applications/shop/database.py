"""A database in the memory of the serving process."""

from collections.abc import Iterator

from sqlmodel import Session, SQLModel, StaticPool, create_engine

from shop import models  # noqa: F401

engine = create_engine("sqlite://", connect_args={"check_same_thread": False}, poolclass=StaticPool)


def create_tables() -> None:
    SQLModel.metadata.create_all(engine)


def open_session() -> Iterator[Session]:
    with Session(engine) as session:
        yield session
