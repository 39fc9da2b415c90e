"""The stream of states that browsers listen to."""

import asyncio
from asyncio import StreamReader, StreamWriter
from contextlib import suppress
from http import HTTPStatus

from .watcher import State, Watcher

# Seconds. A browser takes three times this long without a message for a lost connection.
REPEAT_INTERVAL = 5.0
# Seconds for a request to come in whole.
REQUEST_TIMEOUT = 5.0


class Server:
    """Answers one request per connection: nginx keeps none to here, and a stream has no end."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._open: set[StreamWriter] = set()
        self._closed = False

    def close(self) -> None:
        """End all streams, also of connections that are being made; browsers come back by themselves."""
        self._closed = True
        for writer in self._open:
            writer.close()

    async def handle(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Answer the request of a new connection, then close it."""
        self._open.add(writer)
        if self._closed:
            writer.close()
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT):
                request = await reader.readuntil(b"\r\n\r\n")
            await self._answer(request.split()[1].decode("latin-1"), reader, writer)
        except (OSError, EOFError, IndexError, asyncio.LimitOverrunError):
            pass  # gone, or no HTTP
        finally:
            self._open.remove(writer)
            writer.close()

    async def _answer(self, path: str, reader: StreamReader, writer: StreamWriter) -> None:
        match path:
            case "/_dev/events":
                await self._stream(reader, writer)
            case "/healthz":
                await _send(writer, HTTPStatus.OK, b"ok\n")
            case _:
                await _send(writer, HTTPStatus.NOT_FOUND, b"not found\n")

    async def _stream(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Send states until the browser leaves."""
        sending = asyncio.create_task(self._send_states(writer))
        try:
            await reader.read(1)  # nothing more comes but the end
        finally:
            sending.cancel()

    async def _send_states(self, writer: StreamWriter) -> None:
        """Send the whole state at first, at each change, and now and then to show that the connection stands."""
        _start(writer, HTTPStatus.OK, "text/event-stream", "X-Accel-Buffering: no")
        state: State | None = None
        async with self._watcher.listening():
            while not writer.is_closing():
                with suppress(TimeoutError):
                    async with asyncio.timeout(REPEAT_INTERVAL):
                        state = await self._watcher.state_after(state)
                writer.write(f"data: {state.as_json()}\n\n".encode() if state else b": no pod has answered yet\n\n")
                with suppress(ConnectionError):
                    await writer.drain()


async def _send(writer: StreamWriter, status: HTTPStatus, body: bytes) -> None:
    _start(writer, status, "text/plain", f"Content-Length: {len(body)}")
    writer.write(body)
    await writer.drain()


def _start(writer: StreamWriter, status: HTTPStatus, content_type: str, header: str) -> None:
    lines = f"HTTP/1.1 {status} {status.phrase}", f"Content-Type: {content_type}", header, "Connection: close"
    writer.write("\r\n".join([*lines, "", ""]).encode())
