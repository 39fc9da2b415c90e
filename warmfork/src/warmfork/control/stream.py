"""One connection of the control channel: a line of JSON in, a line of JSON out.

Requests have an "op", and an "id" that the reply repeats:
- hello, first of all, with "protocol" and "token". Reply: "protocol", "roots", and what status replies.
- apply, with "changes": each a "path", and "content" in base64, a "link" with its target, or "deleted". Reply, when the
  effect is known: "outcome", "error", "milliseconds", and "written", the number of files that differed before.
- digests, with "below", a folder, and "after", the last path of the page before. Reply: "files", each with digest and
  size, and whether there are "more".
- status. Reply: generation, digest of the code, newest failure, processes.

Replies have "ok": true, refusals "ok": false and an "error". Unasked comes {"event": "digests"} with "files" that
others have changed, null for what has gone, be it a file or a folder; and with "stale" folders, of which the sender
is to ask for all.
"""

import json
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from warmfork.events import EventLoop

# Counts up when either side would misunderstand the other.
PROTOCOL = 2
# Bytes of a request.
_MAXIMUM_LINE = 64 << 20


class RefusalError(Exception):
    """A request is not granted; the text says why."""


class Receiver(Protocol):
    """What does the requests. All raise RefusalError."""

    def claim(self, stream: "ControlStream", token: object) -> dict[str, Any]:
        """Let a sender in."""

    def apply(self, changes: object, answer: Callable[[dict[str, Any]], None]) -> None:
        """Write files, and answer when their effect is known."""

    def digests(self, below: object, after: object) -> dict[str, Any]:
        """Return a page of digests."""

    def describe(self) -> dict[str, Any]:
        """Return the state of all processes."""

    def forget(self, stream: "ControlStream") -> None:
        """Note that a stream has ended."""


class ControlStream:
    """A sender, or somebody who would like to be one."""

    def __init__(self, connection: socket.socket, receiver: Receiver, events: EventLoop) -> None:
        """Begin to listen."""
        self.is_admitted = False
        self._connection = connection
        self._receiver = receiver
        self._events = events
        # The beginning of a line; None when the line is too long, until its end.
        self._line: bytearray | None = bytearray()
        connection.setblocking(False)
        events.watch(connection.fileno(), self._read)

    def close(self) -> None:
        """Hang up."""
        if self._connection.fileno() < 0:
            return
        self._events.unwatch(self._connection.fileno())
        self._connection.close()
        self._receiver.forget(self)

    def say(self, answer: dict[str, Any]) -> None:
        """Send a line, or hang up: lines are short, so a sender that does not read them has gone."""
        if self._connection.fileno() < 0:
            return
        try:
            self._connection.sendall(json.dumps(answer).encode() + b"\n")
        except OSError:
            self.close()

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
        for line in self._lines(data):
            if self._connection.fileno() >= 0:
                self._handle(line)

    def _lines(self, data: bytes) -> Iterator[bytes]:
        """Yield the lines that end in the data; what is too long is refused and kept no longer."""
        first, *others = data.split(b"\n")
        for number, part in enumerate((first, *others)):
            if number:
                if self._line is not None:
                    yield bytes(self._line)
                self._line = bytearray()
            if self._line is not None:
                self._line += part
                if len(self._line) > _MAXIMUM_LINE:
                    self._line = None
                    self._refuse({}, "refused: the line is too long")

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
        reference = {"id": request["id"]} if "id" in request else {}
        if operation == "hello":
            if request.get("protocol") != PROTOCOL:
                theirs = f"the sender speaks {str(request.get('protocol'))[:20]}"
                raise RefusalError(f"this is protocol {PROTOCOL}, {theirs}; take both from one checkout")
            self.say({"ok": True, "protocol": PROTOCOL, **self._receiver.claim(self, request.get("token"))})
        elif not self.is_admitted:
            raise RefusalError("say hello first")
        elif operation == "apply":

            def answer(outcome: dict[str, Any]) -> None:
                milliseconds = round(1_000 * (time.monotonic() - began), 1)
                self.say({"id": request.get("id"), "ok": True, "milliseconds": milliseconds, **outcome})

            self._receiver.apply(request.get("changes"), answer)
        elif operation == "digests":
            self.say(
                {**reference, "ok": True, **self._receiver.digests(request.get("below"), request.get("after", ""))}
            )
        elif operation == "status":
            self.say({**reference, "ok": True, **self._receiver.describe()})
        else:
            raise RefusalError(f"unknown operation {operation!r}")

    def _refuse(self, reference: dict[str, Any], reason: str) -> None:
        self.say({**reference, "ok": False, "error": reason})
        if not self.is_admitted:
            self.close()
