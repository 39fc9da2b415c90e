"""What surrounds every request: an id, a log line, metrics, and limits to its body and to how many there are."""

import re
import time
import uuid

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders, State
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.database import POOL_OVERFLOW, POOL_SIZE
from app.errors import unavailable
from app.logs import logger, request_id
from app.metrics import Metrics
from app.readiness import Readiness
from app.settings import Settings

BODY_LIMIT = 64 * 1024  # bytes
DISCARD_LIMIT = 1024 * 1024  # bytes of a refused body that are still read, so that the client gets to see the answer
IN_PROGRESS = 2 * (POOL_SIZE + POOL_OVERFLOW)  # requests: as many again as have a connection to the database
SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
METHODS = {"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"}
PROBES = {"/healthz", "/readyz"}


class Observation:
    """Gives each request its id, and accounts for it in the log and in the metrics."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand in front of an application."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state: State = scope["app"].state
        metrics: Metrics = state.metrics
        readiness: Readiness = state.readiness
        status, started = 0, time.perf_counter()
        finished = started
        identifier = _identify(scope)
        path = _restore_prefix(scope, state.settings)

        async def observed_send(message: Message) -> None:
            nonlocal status, finished
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = identifier
                if readiness.draining:
                    # Moves the proxy's connections elsewhere before this process closes them under a request.
                    headers["Connection"] = "close"
            await send(message)
            finished = time.perf_counter()

        token = request_id.set(identifier)
        try:
            with metrics.in_progress.track_inprogress():
                await self.app(scope, receive, observed_send)
            route = getattr(scope.get("route"), "path", "unmatched")
            method = scope["method"] if scope["method"] in METHODS else "other"
            metrics.duration.labels(method, route, status).observe(finished - started)
            if path not in PROBES:
                _log(scope["method"], path, route, status, finished - started)
        finally:
            request_id.reset(token)


def _identify(scope: Scope) -> str:
    """Return the id that the client or the proxy gave, if it is one, or a new one."""
    given = Headers(scope=scope).get("x-request-id", "")
    return given if SANE_ID.fullmatch(given) else uuid.uuid4().hex


def _restore_prefix(scope: Scope, settings: Settings) -> str:
    """Put back the prefix that the proxy removed, as ASGI wants it, and return the path without any prefix."""
    path: str = scope["path"].removeprefix(scope.get("root_path", ""))
    if settings.root_path:
        scope.update(root_path=settings.root_path, path=settings.root_path + path)
    return path


def _log(method: str, path: str, route: str, status: int, seconds: float) -> None:
    path, duration = path.encode("unicode_escape").decode(), round(seconds * 1_000, 1)
    fields = {"method": method, "path": path, "route": route, "status": status, "duration_ms": duration}
    logger.info("%s %s %d in %.1f ms", method, path, status, duration, extra={"fields": fields})


class LastResort:
    """Answers 500 to an error that nothing else handled, where it still gets the request's id; the log has the rest."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand in front of an application."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        answering = False

        async def noticed_send(message: Message) -> None:
            nonlocal answering
            answering = True
            await send(message)

        try:
            await self.app(scope, receive, noticed_send)
        except Exception:
            if scope["type"] != "http" or answering:
                raise
            logger.exception("request failed")
            await JSONResponse({"detail": "Internal Server Error"}, status_code=500)(scope, receive, send)


class BodyLimit:
    """Reads the body before anything works on the request, and answers 413 to one of more than BODY_LIMIT bytes."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand in front of an application."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http" or not {"content-length", "transfer-encoding"} & set(Headers(scope=scope)):
            await self.app(scope, receive, send)
            return
        body, size, more = bytearray(), 0, True
        while more and size <= DISCARD_LIMIT:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            size += len(message.get("body", b""))
            if size <= BODY_LIMIT:
                body += message.get("body", b"")
            more = message.get("more_body", False)
        if size > BODY_LIMIT:
            refusal = JSONResponse(
                {"detail": f"The body is larger than {BODY_LIMIT} bytes"},
                status_code=413,
                headers={"Connection": "close"},
            )
            await refusal(scope, receive, send)
            return
        pending: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def replay() -> Message:
            return pending.pop() if pending else await receive()

        await self.app(scope, replay, send)


class Shedding:
    """Answers 503 at once while as many requests are worked on as can be: one that waits its turn serves nobody.

    A request whose answer has begun does not count: it may be a stream.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Stand in front of an application."""
        self.app = app
        self._in_progress = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http" or scope["path"].removeprefix(scope.get("root_path", "")) in PROBES:
            await self.app(scope, receive, send)
            return
        if self._in_progress >= IN_PROGRESS:
            await unavailable("Too many requests are being worked on; try again in a moment.")(scope, receive, send)
            return
        waiting = True
        self._in_progress += 1

        async def noticed_send(message: Message) -> None:
            nonlocal waiting
            self._in_progress -= waiting
            waiting = False
            await send(message)

        try:
            await self.app(scope, receive, noticed_send)
        finally:
            self._in_progress -= waiting
