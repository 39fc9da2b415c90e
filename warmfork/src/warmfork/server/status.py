"""What a serving process says of itself, to people, tests and tools."""

import json
import os
from dataclasses import dataclass
from typing import Any

from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope

from warmfork.failure import Failure

# In answers that older code gives because the newer one has not started in time.
OUTDATED = (b"warmfork-outdated", b"newer code is still starting")


@dataclass
class Status:
    """What there is to say.

    generation: which reload this process came from; code: digest of its files; lifespan: seconds that the application
    took to start; is_outdated: it answers although newer code is on its way, which takes long; failure: of the newest
    change.
    """

    generation: int
    code: str = ""
    serving: bool = True
    lifespan: float = 0
    is_outdated: bool = False
    failure: Failure | None = None

    def as_json(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {
            "pid": os.getpid(),
            "generation": self.generation,
            "code": self.code,
            "serving": self.serving,
            "lifespan_seconds": round(self.lifespan, 3),
            "is_outdated": self.is_outdated,
            "failure": self.failure.as_json() if self.failure else None,
        }

    def answering(self, path: str | None, application: ASGI3Application) -> ASGI3Application:
        """Return an ASGI application that answers GET on the path itself, if there is one, and passes all else on."""

        async def answer(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
            if scope["type"] != "http":
                await application(scope, receive, send)
            elif scope["path"] == path and scope["method"] == "GET":
                await _send_json(self.as_json(), send)
            elif self.is_outdated:
                await application(scope, receive, _saying_so(send))
            else:
                await application(scope, receive, send)

        return answer


async def _send_json(content: object, send: ASGISendCallable) -> None:
    body = json.dumps(content).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _saying_so(send: ASGISendCallable) -> ASGISendCallable:
    """Return a way to send answers that says in each of them that newer code is on its way."""

    async def send_with_header(message: ASGISendEvent) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), OUTDATED]
        await send(message)

    return send_with_header
