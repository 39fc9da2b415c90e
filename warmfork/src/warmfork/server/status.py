"""What a serving process says of itself, to people, tests and tools."""

import json
import os
from dataclasses import dataclass
from typing import Any

from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, Scope

from warmfork.failure import Failure


@dataclass
class Status:
    """generation: which reload this process came from; code: digest of its files; failure: of the newest change."""

    generation: int
    code: str = ""
    serving: bool = True
    failure: Failure | None = None

    def as_json(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {
            "pid": os.getpid(),
            "generation": self.generation,
            "code": self.code,
            "serving": self.serving,
            "failure": self.failure.as_json() if self.failure else None,
        }

    def answering(self, path: str, application: ASGI3Application) -> ASGI3Application:
        """Return an ASGI application that answers GET on the path itself and passes all else on."""

        async def answer(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
            if scope["type"] != "http" or scope["path"] != path or scope["method"] != "GET":
                await application(scope, receive, send)
                return
            body = json.dumps(self.as_json()).encode()
            headers = [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
                (b"cache-control", b"no-store"),
            ]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})

        return answer
