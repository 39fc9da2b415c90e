"""A kept HTTP/1.1 connection: as much of the protocol as uvicorn and nginx use towards us."""

import asyncio
from asyncio import StreamReader, StreamWriter
from http import HTTPStatus

# Seconds. An address that is nobody's any more swallows packets.
CONNECT_TIMEOUT = 1.0
# Seconds; more than a reloading backend lets requests wait for new code.
ANSWER_TIMEOUT = 5.0


class UnexpectedAnswerError(Exception):
    """A server answered, but not with what was asked for. The text says what it sent instead."""


class Connection:
    """Connects when first asked and again after a loss."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._streams: tuple[StreamReader, StreamWriter] | None = None

    async def get(self, path: str) -> bytes:
        """Return the body of the answer.

        Raises OSError or EOFError when there is none, UnexpectedAnswerError when its status is not 200.
        """
        if self._streams:
            try:
                return await self._ask(path, *self._streams)
            except (ConnectionError, EOFError):
                pass  # the other side may close a kept connection at any time
        async with asyncio.timeout(CONNECT_TIMEOUT):
            self._streams = await asyncio.open_connection(self._host, self._port)
        return await self._ask(path, *self._streams)

    def close(self) -> None:
        """Close; the next request connects anew."""
        if self._streams:
            _, writer = self._streams
            writer.close()
            self._streams = None

    async def _ask(self, path: str, reader: StreamReader, writer: StreamWriter) -> bytes:
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                writer.write(f"GET {path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n\r\n".encode())
                status, headers = await _read_head(reader)
                body = await _read_body(reader, headers)
        except BaseException:
            # What is left of this answer would be taken for the next one.
            self.close()
            raise
        if headers.get("connection") == "close":
            self.close()
        if status != HTTPStatus.OK:
            raise UnexpectedAnswerError(f"status {status} for {path}")
        return body


async def _read_head(reader: StreamReader) -> tuple[int, dict[str, str]]:
    """Return the status and the headers, both names and values in lower case."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    status_line, *lines = head.rstrip().split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return int(status_line.split()[1]), {name: value.strip() for name, _, value in pairs}


async def _read_body(reader: StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") != "chunked":
        return await reader.readexactly(int(headers.get("content-length", "0")))
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)
    return body
