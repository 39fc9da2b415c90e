"""The web server: the page, the stream of what changes, and actions. For this machine's own browser alone."""

import asyncio
import json
import logging
import os
import secrets
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, StreamingResponse
from pydantic import BaseModel

from dashboard.model import Model, today
from dashboard.safety import OwnPageOnly
from dashboard.tilt import RefusedError, Tilt

PAGE = Path(__file__).parent / "page"
_TOKEN_MARK = "{{token}}"  # noqa: S105
# Lines in one event; more at once would stop the page for longer than a frame.
_MOST_LINES = 2_000
# Seconds: between two looks at what has changed, and until a sign of life when nothing does.
_PAUSE, _PING = 0.1, 5.0


class Action(BaseModel):
    """What a person wants Tilt to do with a resource, or the button that they have pressed."""

    action: Literal["trigger", "enable", "disable", "press"]
    resource: str = ""
    button: str = ""


@dataclass(frozen=True)
class Service:
    """What requests work with. version: what /api/health is to say; epoch: line ids are this process's own."""

    model: Model
    tilt: Tilt
    version: str = ""
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    epoch: str = field(default_factory=lambda: secrets.token_hex(4))


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


_Service = Annotated[Service, Depends(_service)]
_routes = APIRouter()


def create_app(service: Service, port: int, *, follow: bool = True) -> FastAPI:
    """Return the application. port: where it will listen. follow: also keep the model up to date."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        following = asyncio.create_task(service.model.run()) if follow else None
        if following:
            following.add_done_callback(_end)
        yield
        if following:
            following.cancel()

    app = FastAPI(title="dashboard", openapi_url=None, lifespan=lifespan)
    app.state.service = service
    app.add_middleware(OwnPageOnly, port=port)
    app.include_router(_routes)
    return app


@_routes.get("/")
async def page(service: _Service) -> HTMLResponse:
    """Return the page, with the token that its actions need."""
    return HTMLResponse((PAGE / "index.html").read_text().replace(_TOKEN_MARK, service.token))


@_routes.get("/api/health")
async def health(service: _Service) -> dict[str, str]:
    """Tell whose dashboard this is."""
    return {"checkout": str(service.model.settings.checkout), "version": service.version}


@_routes.get("/api/events")
async def stream(service: _Service, after: str = "", last_event_id: Annotated[str, Header()] = "") -> StreamingResponse:
    """Stream what happens, from after the line with the id that is given as EPOCH-ID."""
    epoch, _, last = (last_event_id or after).partition("-")
    begin = int(last) if epoch == service.epoch and last.isdecimal() else 0
    return StreamingResponse(events(service.model, service.epoch, begin), media_type="text/event-stream")


@_routes.get("/api/logs.txt")
async def download(service: _Service, resource: Annotated[list[str], Query()] = []) -> PlainTextResponse:  # noqa: B006
    """Return the kept lines of all or some resources."""
    chosen = [line for line in service.model.logs.after(0) if not resource or line.resource in resource]
    return PlainTextResponse("".join(f"{line.resource or 'tilt'} {line.text}\n" for line in chosen))


@_routes.post("/api/actions")
async def act(service: _Service, action: Action, x_token: Annotated[str, Header()] = "") -> JSONResponse:
    """Have Tilt do something with a resource or a button that there is."""
    if not secrets.compare_digest(x_token.encode(), service.token.encode()):
        return _refuse(HTTPStatus.FORBIDDEN, "This page is from an earlier dashboard: reload it.")
    state = service.model.state()
    resources = {one["name"] for one in state["resources"]}
    buttons = {one["id"] for owner in [state, *state["resources"]] for one in owner["buttons"]}
    if action.action == "press" and action.button not in buttons:
        return _refuse(HTTPStatus.NOT_FOUND, f"There is no button {action.button!r}.")
    if action.action != "press" and action.resource not in resources:
        return _refuse(HTTPStatus.NOT_FOUND, f"There is no resource {action.resource!r}.")
    try:
        if action.action == "press":
            await service.tilt.press(action.button)
        else:
            await service.tilt.run(action.action, action.resource)
    except RefusedError as error:
        return _refuse(HTTPStatus.BAD_GATEWAY, str(error))
    return JSONResponse({"ok": True})


@_routes.get("/{name}")
async def file(name: str) -> Response:
    """Return one of the page's files: a name has no slash, so there are no others."""
    path = PAGE / name
    if not path.is_file() or name == "index.html":
        return PlainTextResponse(f"There is no {name} here.\n", HTTPStatus.NOT_FOUND)
    return FileResponse(path)


def _refuse(status: HTTPStatus, why: str) -> JSONResponse:
    return JSONResponse({"error": why}, status)


async def events(model: Model, epoch: str, last: int) -> AsyncIterator[str]:
    """Yield server-sent events: what is new since the line with the id `last`, then what changes, for ever."""
    yield _event("hello", {"epoch": epoch, "first": model.logs.first})
    state, revision, told = "", -1, 0
    with model.listening() as changed:
        while True:
            changed.clear()
            while lines := model.logs.after(last, _MOST_LINES):
                last = lines[-1].id
                yield _event("lines", [line.as_json() for line in lines], f"{epoch}-{last}")
            if model.revision != revision:
                # All taken before anything is sent: more may happen meanwhile.
                revision, present = model.revision, json.dumps(model.state())
                saves, told = model.saves.changed_since(told), model.saves.revision
                if present != state:
                    state = present
                    yield _event("state", state)
                if saves:
                    yield _event("saves", {"saves": saves, "today": model.saves.today(today())})
            try:
                async with asyncio.timeout(_PING):
                    await changed.wait()
            except TimeoutError:
                yield _event("ping", {})
            await asyncio.sleep(_PAUSE)


def _end(following: asyncio.Task[None]) -> None:
    """End with what has gone wrong: a page that shows nothing new any more would look as if all were quiet."""
    if not following.cancelled() and (error := following.exception()):
        logging.getLogger("dashboard").error("following Tilt has failed", exc_info=error)
        os.kill(os.getpid(), signal.SIGTERM)


def _event(name: str, data: Any, identifier: str = "") -> str:  # noqa: ANN401
    text = data if isinstance(data, str) else json.dumps(data)
    lines = [f"event: {name}", *([f"id: {identifier}"] if identifier else []), f"data: {text}"]
    return "\n".join(lines) + "\n\n"
