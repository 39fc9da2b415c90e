"""What one look at a pod tells: which code a backend serves, which files a frontend does."""

import hashlib
import json
import time
from dataclasses import dataclass, replace
from typing import Any

from .connection import Connection, UnexpectedAnswerError

# Answered by warmfork itself, and by the nginx of the development image.
STATUS = "/_warmfork"
FILES = "/_dev/files/"
# Seconds. nginx tells times in whole ones: for so long after a file has changed, the same time and size prove nothing.
SETTLING = 5.0


@dataclass(frozen=True)
class Failure:
    """A change that did not start. Without `serving`, no older code answers either."""

    pod: str
    serving: bool
    files: tuple[str, ...]
    error: str
    traceback: str


@dataclass(frozen=True)
class BackendView:
    """The digest of the code that a backend serves, and what became of a newer one that did not start."""

    code: str
    failure: Failure | None = None


type FrontendView = dict[str, str]
"""Digests of the files that a frontend serves, by name."""


class Backend:
    """One pod of the backend."""

    def __init__(self, name: str, connection: Connection) -> None:
        self._name = name
        self._connection = connection

    async def look(self) -> BackendView:
        """Ask what is served. Raises what `Connection.get` does."""
        status = _parse(await self._connection.get(STATUS))
        failure = status["failure"]
        return BackendView(
            status["code"],
            failure
            and Failure(self._name, status["serving"], tuple(failure["files"]), failure["error"], failure["traceback"]),
        )


@dataclass(frozen=True)
class _File:
    """What is remembered of a file. `since` is when its time or size was last seen to change, in seconds."""

    stamp: tuple[str, int]
    since: float
    digest: str = ""


class Frontend:
    """One pod of the frontend. Reads a file only while it may have changed."""

    def __init__(self, _name: str, connection: Connection) -> None:
        self._connection = connection
        self._files: dict[str, _File] = {}

    async def look(self) -> FrontendView:
        """Ask what is served. Raises what `Connection.get` does."""
        listed = {
            entry["name"]: (entry["mtime"], entry["size"])
            for entry in _parse(await self._connection.get(FILES))
            if entry["type"] == "file"
        }
        self._files = {name: await self._inspect(name, stamp) for name, stamp in listed.items()}
        return {name: file.digest for name, file in self._files.items() if file.digest}

    async def _inspect(self, name: str, stamp: tuple[str, int]) -> _File:
        now = time.monotonic()
        file = self._files.get(name)
        if file is None or file.stamp != stamp:
            file = _File(stamp, since=now)
        elif now - file.since > SETTLING:
            return file
        return replace(file, digest=await self._digest(name))

    async def _digest(self, name: str) -> str:
        """Return the digest of the file as browsers get it; empty for one that is not served."""
        try:
            return hashlib.sha256(await self._connection.get(FILES + name)).hexdigest()
        except UnexpectedAnswerError:
            return ""


def _parse(body: bytes) -> Any:  # noqa: ANN401 - JSON is whatever the pod sent
    try:
        return json.loads(body)
    except ValueError:
        raise UnexpectedAnswerError(f"{body[:80]!r} in place of JSON") from None
