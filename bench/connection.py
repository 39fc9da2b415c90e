"""A connection of the load: HTTP/1.1 without blocking, and without the second try by which clients hide a fault."""

import errno
import re
import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from bench.history import ANSWERED, DROPPED, Exchange, Kind

# Takes an answer's body, returns the version and the replica that it shows. Raises ValueError or KeyError.
type Reader = Callable[[bytes], tuple[str, str]]

CHUNK = 64 * 1024
# What people call them; any other error keeps its own name.
NAMES = {errno.ECONNREFUSED: "refused", errno.ECONNRESET: "reset", errno.EPIPE: "reset"}


@dataclass(frozen=True)
class Target:
    """What is asked, where, and how the answer is read."""

    host: str
    port: int
    path: str
    read: Reader

    def request(self, kind: Kind) -> bytes:
        """Return the request as it goes over the wire."""
        connection = "close" if kind == Kind.NEW else "keep-alive"
        lines = (f"GET {self.path} HTTP/1.1", f"Host: {self.host}:{self.port}", f"Connection: {connection}", "", "")
        return "\r\n".join(lines).encode()


@dataclass(frozen=True)
class Response:
    """An answer; `closes` when the server said that it closes the connection."""

    status: int
    body: bytes
    closes: bool


class Connection:
    """Sends one request at a time, over a connection that it opens anew whenever it has none."""

    def __init__(
        self, kind: Kind, target: Target, selector: selectors.BaseSelector, record: Callable[[Exchange], None]
    ) -> None:
        """Prepare; the selector's data is the method to call when the socket is ready."""
        self._kind = kind
        self._target = target
        self._request = target.request(kind)
        self._selector = selector
        self._record = record
        self._socket: socket.socket | None = None
        self._began: float | None = None
        self._sent: float | None = None
        self._received = bytearray()

    @property
    def is_busy(self) -> bool:
        """Whether a request has no answer yet."""
        return self._began is not None

    def request(self) -> None:
        """Send a request; there must be none under way."""
        self._began, self._sent = time.monotonic(), None
        self._received.clear()
        if self._socket is not None:
            self._send(self._socket)
            return
        opened = self._socket = socket.socket()
        opened.setblocking(False)  # noqa: FBT003 - takes it by position only
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = opened.connect_ex((self._target.host, self._target.port))
        self._selector.register(opened, selectors.EVENT_WRITE, partial(self._connected, opened))
        if code not in {0, errno.EINPROGRESS}:
            self._fail(_name(code))

    def expire(self, began: float) -> None:
        """Give the request up if it began before that time."""
        if self._began is not None and self._began < began:
            self._fail("no answer")

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._socket is not None:
            self._selector.unregister(self._socket)
            self._socket.close()
            self._socket = None

    def _connected(self, opened: socket.socket) -> None:
        if code := opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._fail(_name(code))
            return
        self._selector.modify(opened, selectors.EVENT_READ, partial(self._readable, opened))
        self._send(opened)

    def _send(self, opened: socket.socket) -> None:
        self._sent = time.monotonic()
        try:
            opened.send(self._request)
        except OSError as error:
            self._fail(_name(error.errno))

    def _readable(self, opened: socket.socket) -> None:
        try:
            data = opened.recv(CHUNK)
        except OSError as error:
            self._fail(_name(error.errno))
            return
        self._received += data
        if not self.is_busy:
            self._fail("answer without a request" if data else DROPPED)
        elif response := parse(bytes(self._received), at_end=not data):
            self._finish(response)
        elif not data:
            self._fail("cut off" if self._received else "closed")

    def _finish(self, response: Response) -> None:
        if self._kind == Kind.NEW or response.closes:
            self.close()
        if response.status != 200:  # noqa: PLR2004
            self._end(f"status {response.status}")
            return
        try:
            self._end(ANSWERED, *self._target.read(response.body))
        except (KeyError, TypeError, ValueError):
            self._end("unreadable")

    def _fail(self, outcome: str) -> None:
        self.close()
        self._end(outcome if self.is_busy else DROPPED)

    def _end(self, outcome: str, version: str = "", replica: str = "") -> None:
        now = time.monotonic()
        began = now if self._began is None else self._began
        sent = began if self._sent is None else self._sent
        self._began = None
        self._record(Exchange(self._kind, began, sent, now, outcome, version, replica))


def parse(data: bytes, *, at_end: bool) -> Response | None:
    """Return the response once all of it is there; at_end: nothing more will come.

    Knows bodies of a stated length and bodies that end with the connection, and no chunks, which a short JSON answer
    never comes in.
    """
    head, separator, body = data.partition(b"\r\n\r\n")
    if not separator or not (status := re.match(rb"HTTP/1\.[01] (\d{3})", head)):
        return None
    closes = bool(re.search(rb"\r\nconnection: *close", head, re.IGNORECASE))
    if length := re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE):
        if len(body) < int(length[1]):
            return None
        body = body[: int(length[1])]
    elif not at_end:
        return None
    return Response(int(status[1]), body, closes or at_end)


def _name(code: int | None) -> str:
    return NAMES.get(code or 0, errno.errorcode.get(code or 0, "unknown error"))
