"""The sender's side of the control channel."""

import base64
import json
import socket
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from http_connection import PATIENCE
from warmfork.control.stream import PROTOCOL

TOKEN = "one run of a sender, " + "0" * 32


class ControlChannel:
    """One stream to a server's control socket."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(PATIENCE)
        self._socket.connect(str(path))
        self._reader = self._socket.makefile("rb")
        self.events: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._reader.close()
        self._socket.close()

    def send(self, line: bytes) -> None:
        self._socket.sendall(line)

    def reply(self) -> dict[str, Any]:
        """Return the next reply. Raises ConnectionError when the stream has ended."""
        while "event" in (message := self._message()):
            self.events.append(message)
        return message

    def event(self) -> dict[str, Any]:
        """Return what was told unasked, the oldest first. Raises ConnectionError when the stream has ended."""
        while not self.events:
            message = self._message()
            assert "event" in message, message
            self.events.append(message)
        return self.events.pop(0)

    def _message(self) -> dict[str, Any]:
        line = self._reader.readline()
        if not line.endswith(b"\n"):
            raise ConnectionError(f"the stream ended after {line!r}")
        message: dict[str, Any] = json.loads(line)
        return message

    def ask(self, **request: object) -> dict[str, Any]:
        """Send one request and return the next reply."""
        self.send(json.dumps(request).encode() + b"\n")
        return self.reply()

    def hello(self, token: str = TOKEN) -> dict[str, Any]:
        return self.ask(op="hello", protocol=PROTOCOL, token=token)

    def apply(self, *changes: dict[str, Any], number: int = 1) -> dict[str, Any]:
        return self.ask(op="apply", id=number, changes=changes)


def written(path: Path, text: str) -> dict[str, Any]:
    """Return the change that saves text."""
    return {"path": str(path), "content": base64.b64encode(text.encode()).decode()}


def deleted(path: Path) -> dict[str, Any]:
    """Return the change that deletes the file."""
    return {"path": str(path), "deleted": True}
