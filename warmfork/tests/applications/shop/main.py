"""A shop: the size and the shape of a real application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from shop.database import create_tables
from shop.routers import items, meta


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    create_tables()
    yield


app = FastAPI(lifespan=lifespan)
app.include_router(items.router)
app.include_router(meta.router)
