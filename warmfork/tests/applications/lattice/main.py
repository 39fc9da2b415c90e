"""Modules that take values from each other when they are imported, and every value as each of them saw it."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lattice import base, leaf, left, right, top


async def values(_: Request) -> Response:
    return JSONResponse({module.__name__.partition(".")[2]: module.SEEN for module in (base, leaf, left, right, top)})


app = Starlette(routes=[Route("/", values)])
