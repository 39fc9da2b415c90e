"""The application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from . import items, meta, owners
from .database import UNAVAILABLE, prepare
from .settings import load_settings


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Serve only once the database answers."""
    prepare()
    yield


app = FastAPI(title=load_settings().title, lifespan=lifespan)
app.include_router(items.router)
app.include_router(owners.router)
app.include_router(meta.router)


@app.exception_handler(UNAVAILABLE)
async def answer_unavailable(_: Request, error: Exception) -> JSONResponse:
    """Answer 503 while the database is away."""
    return JSONResponse({"detail": str(error)}, status_code=503)
