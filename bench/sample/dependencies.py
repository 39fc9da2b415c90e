"""What endpoints ask for."""

from typing import Annotated

from fastapi import Depends, Query
from sqlmodel import Session

from .database import open_session
from .settings import Settings, load_settings

REVISION = 0

DatabaseSession = Annotated[Session, Depends(open_session)]
CurrentSettings = Annotated[Settings, Depends(load_settings)]


def limit_page(settings: CurrentSettings, limit: Annotated[int | None, Query(ge=1, le=500)] = None) -> int:
    """Return how many rows an answer may have."""
    return limit or settings.page_size


PageLimit = Annotated[int, Depends(limit_page)]
