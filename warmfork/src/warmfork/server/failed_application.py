"""Stands in for an application that does not start."""

from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope

from warmfork.failure import Failure


class FailedApplication:
    """Answers every request with status 500 and the traceback, so that nobody waits for code that does not start."""

    def __init__(self, failure: Failure) -> None:
        """Prepare the answer."""
        headline = f"{', '.join(failure.files) or 'The application'} did not start; save a repair and ask again."
        self._body = f"{headline}\n\n{failure.traceback}\n".encode()

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Answer; see the ASGI specification."""
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1011, "reason": "the application did not start"})
        else:
            headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]
            await send({"type": "http.response.start", "status": 500, "headers": headers})
            await send({"type": "http.response.body", "body": self._body})
