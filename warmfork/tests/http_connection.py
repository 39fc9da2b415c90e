"""One HTTP/1.1 connection, of which a test decides every byte and sees every end."""

import http.client
import json
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PATIENCE = 30.0  # seconds; only a failing test waits that long


@dataclass(frozen=True)
class Answer:
    """One complete response."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:  # noqa: ANN401
        return json.loads(self.body)

    @property
    def is_last(self) -> bool:
        """Tell whether the server said that it closes the connection."""
        return self.headers.get("Connection", "").lower() == "close"


class Connection:
    """A connection to a port of the loopback address, or to a Unix-domain socket. It never connects again by itself."""

    def __init__(self, address: int | Path, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        if isinstance(address, int):
            self.socket = socket.create_connection((host, address), PATIENCE)
        else:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(PATIENCE)
            self.socket.connect(str(address))
        if tls:
            # An end that TLS does not announce is an error.
            self.socket = tls.wrap_socket(self.socket, server_hostname=host, suppress_ragged_eofs=False)
        self._reader = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._reader.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def get(self, path: str = "/") -> Answer:
        """Send a request without a body and return its answer."""
        self.send(request(path))
        return self.answer()

    def answer(self) -> Answer:
        """Return the next response. Raises ConnectionError when the connection ends before it is complete."""
        status, headers = self.head()
        return Answer(status, headers, self.body(headers))

    def head(self) -> tuple[int, http.client.HTTPMessage]:
        """Return the status and the headers of the next response."""
        protocol, status = self._line().split()[:2]
        if protocol != b"HTTP/1.1":
            raise ConnectionError(f"the server speaks {protocol!r}")
        return int(status), http.client.parse_headers(self._reader)

    def body(self, headers: http.client.HTTPMessage) -> bytes:
        """Return the body that follows these headers."""
        if headers.get("Transfer-Encoding") == "chunked":
            return b"".join(iter(self.chunk, b""))
        return self._exactly(int(headers["Content-Length"]))

    def chunk(self) -> bytes:
        """Return the next chunk of a body; the last one is empty."""
        data = self._exactly(int(self._line(), 16))
        self._exactly(2)
        return data

    def rest(self) -> bytes:
        """Return what comes until the server closes the connection. Raises ConnectionResetError when it resets it."""
        return self._reader.read()

    def _line(self) -> bytes:
        line = self._reader.readline()
        if not line.endswith(b"\n"):
            raise ConnectionError(f"the connection was closed after {line!r}")
        return line

    def _exactly(self, size: int) -> bytes:
        data = self._reader.read(size)
        if len(data) < size:
            raise ConnectionError(f"the connection was closed after {len(data)} of {size} bytes")
        return data


def request(path: str, *headers: str, method: str = "GET", body: bytes = b"") -> bytes:
    """Return the bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: test", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body
