"""The page on / and the API on /api, as the proxy shows them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Mount, Route

from app.main import app as api

FRONTEND = Path(__file__).parents[2] / "frontend"
SERVED = {".css", ".html", ".js", ".svg"}


async def page_file(request: Request) -> FileResponse:
    """Return one of the page's files, never from the browser's cache."""
    path = FRONTEND / (request.path_params.get("name", "index.html"))
    if path.parent != FRONTEND or path.suffix not in SERVED or not path.is_file():
        raise HTTPException(404)
    return FileResponse(path, headers={"Cache-Control": "no-store"})


@asynccontextmanager
async def lifespan(_site: Starlette) -> AsyncIterator[None]:
    """Start the API with the site: a mounted application is not started by its host."""
    async with api.router.lifespan_context(api):
        yield


site = Starlette(routes=[Mount("/api", api), Route("/{name}", page_file), Route("/", page_file)], lifespan=lifespan)
