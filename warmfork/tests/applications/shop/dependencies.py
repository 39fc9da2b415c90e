"""What routes ask for."""

from typing import Annotated

from fastapi import Depends
from sqlmodel import Session

from shop.database import open_session

# Closed before the answer is sent: all sessions share one connection, and closing rolls back what is under way on it.
SessionDependency = Annotated[Session, Depends(open_session, scope="function")]


def page_size() -> int:
    return 10
