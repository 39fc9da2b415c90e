"""Takes changed files from a stream, for a sender that is faster than whatever else copies them.

Another tool may deliver the same files later. Equal content is no change. An older content that arrives after a newer
one is recognised, because the digests of what was sent are remembered, and the newest is put back.
"""

import base64
import contextlib
import hashlib
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from warmfork.reading import BeingWrittenError, read_whole
from warmfork.settings import SettingsError

PROTOCOL = 1
_SHORTEST_TOKEN = 32
_MAXIMUM_FILE = 1 << 20
_MAXIMUM_LINE = 64 << 20
# Contents of one file that are remembered.
_MEMORY = 32
_GONE = b""


class RefusalError(Exception):
    """A request is not granted; the text says why."""


class Reloader(Protocol):
    """What the channel needs of the supervisor."""

    def reload(self, paths: set[Path], answer: "Callable[[Outcome], None]") -> None:
        """Take notice of changed files, and answer when their effect is known."""

    def describe(self) -> dict[str, Any]:
        """Return the state of all processes, for JSON."""

    def watch(self, descriptor: int, ready: Callable[[], None]) -> None:
        """Call when the descriptor can be read."""

    def unwatch(self, descriptor: int) -> None:
        """Stop doing so."""


@dataclass(frozen=True)
class Outcome:
    """What came of a change: "reloaded", "unchanged", "failed" or "superseded", and the error of a failed one."""

    outcome: str
    error: str | None = None


@dataclass
class _Delivery:
    """What was sent for one file: its newest content, None when it was deleted, and digests, the newest last."""

    content: bytes | None = None
    digests: list[bytes] = field(default_factory=list)

    def remember(self, content: bytes | None) -> None:
        digest = _digest(content)
        self.content = content
        self.digests = [*[known for known in self.digests if known != digest][-_MEMORY:], digest]


class Control:
    """The listening socket, and the one sender that may be connected."""

    def __init__(self, path: Path, roots: list[Path], reloader: Reloader) -> None:
        """Listen at the path, with access for this user alone. Raises SettingsError."""
        # By which the kernel tells that somebody waits for the end of a read.
        signal.signal(signal.SIGIO, signal.SIG_IGN)
        self.path = path
        self._roots = roots
        self._reloader = reloader
        self._deliveries: dict[Path, _Delivery] = {}
        self._token: str | None = None
        self._streams: set[_Stream] = set()
        self._listener = _listen(path)
        reloader.watch(self._listener.fileno(), self._accept)

    def close(self) -> None:
        """Stop listening and hang up."""
        for stream in list(self._streams):
            stream.close()
        self._reloader.unwatch(self._listener.fileno())
        self._listener.close()
        self.path.unlink(missing_ok=True)

    def put_back(self, paths: Iterable[Path], is_being_written: Callable[[Path], bool]) -> None:
        """Restore the newest content of files that somebody has overwritten with an older one that was sent before."""
        for path in paths:
            delivery = self._deliveries.get(path)
            if delivery is None:
                continue
            try:
                found = _digest(_read(path))
            except BeingWrittenError:
                # The end of that will be told.
                continue
            if found == delivery.digests[-1]:
                continue
            if found in delivery.digests:
                _write(path, delivery.content)
            elif not is_being_written(path):
                # Neither old nor ours: somebody has saved this file by another way.
                del self._deliveries[path]

    def claim(self, stream: "_Stream", token: object) -> dict[str, Any]:
        """Let a sender in, unless another one is connected."""
        if not isinstance(token, str) or len(token) < _SHORTEST_TOKEN:
            raise RefusalError(f"the token has fewer than {_SHORTEST_TOKEN} characters")
        if self._token not in {None, token}:
            raise RefusalError("another sender is connected")
        self._token = token
        stream.is_admitted = True
        return {"ok": True, "roots": [str(root) for root in self._roots], **self._reloader.describe()}

    def apply(self, changes: object, answer: Callable[[Outcome], None]) -> None:
        """Write the files, all or none, and reload."""
        if not isinstance(changes, list) or not changes:
            raise RefusalError("there are no changes")
        contents = dict(self._check(change) for change in changes)
        for path, content in contents.items():
            delivery = self._deliveries.setdefault(path, _Delivery())
            if not delivery.digests:
                # What the file holds now may arrive once more, too.
                with contextlib.suppress(BeingWrittenError):
                    delivery.remember(_read(path))
            delivery.remember(content)
            try:
                _write(path, content)
            except OSError as error:
                raise RefusalError(f"{path} cannot be written: {error.strerror}") from error
        self._reloader.reload(set(contents), answer)

    def describe(self) -> dict[str, Any]:
        """Return the state of all processes."""
        return {"ok": True, **self._reloader.describe()}

    def forget(self, stream: "_Stream") -> None:
        """Note that a stream has ended; after the last one every content is as good as another."""
        self._streams.discard(stream)
        if not any(other.is_admitted for other in self._streams):
            self._token = None
            self._deliveries.clear()

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            connection, _ = self._listener.accept()
            self._streams.add(_Stream(connection, self, self._reloader))

    def _check(self, change: object) -> tuple[Path, bytes | None]:
        if not isinstance(change, dict) or not isinstance(change.get("path"), str):
            raise RefusalError("a change has no path")
        if "\0" in change["path"]:
            raise RefusalError("a path holds a null byte")
        path = Path(change["path"])
        root = next((root for root in self._roots if root in path.parents), None)
        if root is None or ".." in path.parts:
            raise RefusalError(f"{path} is outside the reload directories")
        between = [path, *path.parents]
        if any(part.is_symlink() for part in between[: between.index(root)]):
            raise RefusalError(f"{path} is or goes through a symbolic link")
        if path.is_dir():
            raise RefusalError(f"{path} is a folder")
        if change.get("deleted") is True:
            return path, None
        try:
            content = base64.b64decode(change["content"], validate=True)
        except (KeyError, TypeError, ValueError):
            raise RefusalError(f"the content of {path} is not base64") from None
        if len(content) > _MAXIMUM_FILE:
            raise RefusalError(f"{path} has {len(content)} bytes, {_MAXIMUM_FILE} are allowed")
        return path, content


class _Stream:
    """One connection: a line of JSON in, a line of JSON out."""

    def __init__(self, connection: socket.socket, control: Control, reloader: Reloader) -> None:
        self.is_admitted = False
        self._connection = connection
        self._control = control
        self._reloader = reloader
        self._received = bytearray()
        connection.setblocking(False)
        reloader.watch(connection.fileno(), self._read)

    def close(self) -> None:
        if self._connection.fileno() < 0:
            return
        self._reloader.unwatch(self._connection.fileno())
        self._connection.close()
        self._control.forget(self)

    def _read(self) -> None:
        try:
            data = self._connection.recv(1 << 20)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self._received += data
        *lines, rest = self._received.split(b"\n")
        self._received = bytearray(rest)
        for line in lines:
            if self._connection.fileno() >= 0:
                self._handle(bytes(line))
        if len(rest) > _MAXIMUM_LINE:
            self._refuse({}, "the line is too long")

    def _handle(self, line: bytes) -> None:
        began = time.monotonic()
        request: dict[str, Any] = {}
        try:
            request = dict(json.loads(line))
            self._obey(request, began)
        except (TypeError, ValueError, RecursionError):
            self._refuse({}, "refused: a request is a line with a JSON object")
        except RefusalError as refusal:
            self._refuse({key: request[key] for key in ("id",) if key in request}, f"refused: {refusal}")

    def _obey(self, request: dict[str, Any], began: float) -> None:
        operation = request.get("op")
        if operation == "hello":
            if request.get("protocol") != PROTOCOL:
                raise RefusalError(f"this is protocol {PROTOCOL}")
            self._say(self._control.claim(self, request.get("token")))
        elif not self.is_admitted:
            raise RefusalError("say hello first")
        elif operation == "apply":
            identifier = request.get("id")

            def answer(outcome: Outcome) -> None:
                milliseconds = round(1_000 * (time.monotonic() - began), 1)
                self._say({"id": identifier, "ok": True, "milliseconds": milliseconds, **vars(outcome)})

            self._control.apply(request.get("changes"), answer)
        elif operation == "status":
            self._say(self._control.describe())
        else:
            raise RefusalError(f"unknown operation {operation!r}")

    def _refuse(self, reference: dict[str, Any], reason: str) -> None:
        self._say({**reference, "ok": False, "error": reason})
        if not self.is_admitted:
            self.close()

    def _say(self, answer: dict[str, Any]) -> None:
        if self._connection.fileno() < 0:
            return
        try:
            # Answers are short; a sender that does not read them has gone.
            self._connection.sendall(json.dumps(answer).encode() + b"\n")
        except OSError:
            self.close()


def _listen(path: Path) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        path.unlink(missing_ok=True)
        listening.bind(str(path))
    except OSError as error:
        raise SettingsError(f"--control: cannot listen on {path}: {error.strerror or error}") from None
    finally:
        os.umask(before)
    listening.listen()
    listening.setblocking(False)
    return listening


def _digest(content: bytes | None) -> bytes:
    return _GONE if content is None else hashlib.sha256(content).digest()


def _read(path: Path) -> bytes | None:
    """Return the content, None where there is none. Raises BeingWrittenError."""
    try:
        return read_whole(path)
    except OSError:
        return None


def _write(path: Path, content: bytes | None) -> None:
    """Replace the file in one step, keeping its mode; None deletes it."""
    if content is None:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.warmfork")
    unfinished.write_bytes(content)
    with contextlib.suppress(FileNotFoundError):
        unfinished.chmod(path.stat().st_mode & 0o777)
    unfinished.rename(path)
