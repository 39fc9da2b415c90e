"""What routes ask for."""

from typing import Annotated

from fastapi import Depends
from sqlmodel import Session

from shop.database import open_session

SessionDependency = Annotated[Session, Depends(open_session)]


def page_size() -> int:
    return 10
