"""Answers of every kind, each with the version of the code that gave it. It starts quickly."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from tiny.version import VERSION

LARGE = 8 << 20


def tell_the_test() -> None:
    Path("begun").touch()


def may_go_on() -> bool:
    return Path("go").exists()


async def version(_: Request) -> Response:
    return PlainTextResponse(str(VERSION))


async def process(_: Request) -> Response:
    return JSONResponse({"pid": os.getpid(), "parent": os.getppid()})


async def length(request: Request) -> Response:
    """Count the bytes of the body, which may come slowly."""
    tell_the_test()
    return JSONResponse({"version": VERSION, "length": len(await request.body())})


async def wait(_: Request) -> Response:
    """Answer when the test says so."""
    tell_the_test()
    while not may_go_on():  # noqa: ASYNC110 - it is said from outside
        await asyncio.sleep(0.01)
    return PlainTextResponse(str(VERSION))


async def large(_: Request) -> Response:
    return Response(bytes([VERSION]) * LARGE)


async def endless() -> AsyncIterator[str]:
    while True:
        yield f"data: {VERSION}\n\n"
        await asyncio.sleep(0.01)


async def stream(_: Request) -> Response:
    return StreamingResponse(endless(), media_type="text/event-stream")


async def echo(socket: WebSocket) -> None:
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(f"{VERSION} {text}")


app = Starlette(
    routes=[
        Route("/", version),
        Route("/process", process),
        Route("/length", length, methods=["POST"]),
        Route("/wait", wait),
        Route("/large", large),
        Route("/stream", stream),
        WebSocketRoute("/echo", echo),
    ]
)
