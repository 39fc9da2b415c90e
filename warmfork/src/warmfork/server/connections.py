"""HTTP connections that can change the process in which they are served.

The only module that knows the inside of uvicorn's protocols. Between two requests a kept connection is nothing but its
socket, so its descriptor can be passed on; what the client sends meanwhile waits in the kernel. A connection with a
request under way, a WebSocket and a stream stay where they are.
"""

import asyncio
import os
from collections.abc import Callable
from typing import Any

import h11
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from warmfork.server.versions import unknown_version


class Movable(asyncio.Protocol):
    """What both of uvicorn's HTTP protocols need in addition; mixed in ahead of them."""

    transport: asyncio.Transport
    flow: Any
    cycle: Any
    loop: asyncio.AbstractEventLoop
    timeout_keep_alive: int
    timeout_keep_alive_task: asyncio.TimerHandle | None
    timeout_keep_alive_handler: Callable[[], None]
    # No other process can take over what TLS has agreed on.
    is_encrypted: bool
    # Called whenever the connection may have become idle.
    settled: Callable[["Movable"], None]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; the server may be holding or leaving already."""
        self.is_encrypted = transport.get_extra_info("ssl_object") is not None
        super().connection_made(transport)
        self.settled(self)

    def data_received(self, data: bytes) -> None:
        """Take in what the client sends."""
        super().data_received(data)
        self.settled(self)

    def on_response_complete(self) -> None:
        """Note that an answer is complete."""
        super().on_response_complete()  # type: ignore[misc]
        self.settled(self)

    def is_between_requests(self) -> bool:
        """Tell whether everything that was received is answered; the end of an answer may still have to be sent."""
        return (self.cycle is None or self.cycle.response_complete) and not self.has_begun()

    def is_idle(self) -> bool:
        """Tell whether it is between two requests and everything is sent."""
        # A transport with TLS that is closing cannot tell what is left to send.
        is_open = not self.transport.is_closing()
        return self.is_between_requests() and is_open and not self.transport.get_write_buffer_size()

    def has_begun(self) -> bool:
        """Tell whether part of a request has been read that is not answered yet."""
        raise NotImplementedError

    def hold(self) -> None:
        """Leave what the client sends from now on in the kernel."""
        if self.is_encrypted:
            # Its client sends the next request on a new connection, which waits. Not a first one: that would be lost.
            if self.cycle is not None:
                self.transport.close()
            return
        # The client is not late: its request may be there, unread.
        if self.timeout_keep_alive_task:
            self.timeout_keep_alive_task.cancel()
            self.timeout_keep_alive_task = None
        self.flow.pause_reading()
        # uvicorn goes around its own flow control when an answer was complete before the request was.
        self.transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if self.cycle is not None:
            self.adopt()
        self.flow.resume_reading()

    def give_up(self) -> int | None:
        """Let go of an idle connection; return its descriptor, or None when it is closed or must stay here."""
        if self.transport.is_closing() or self.is_encrypted:
            return None
        self.hold()
        descriptor = os.dup(self.transport.get_extra_info("socket").fileno())
        # Closes this process's descriptor; the connection itself lives as long as one is open.
        self.transport.abort()
        return descriptor

    def adopt(self) -> None:
        """Wait for the next request, as after an answer: on a connection that another process gave up, for example."""
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)


class _MovableH11(Movable, H11Protocol):
    def has_begun(self) -> bool:
        return self.conn.their_state is not h11.IDLE or bool(self.conn.trailing_data[0])


def protocol(
    config: Config, state: ServerState, app_state: dict[str, Any], settled: Callable[[Movable], None]
) -> Callable[[], asyncio.Protocol]:
    """Return a factory of connections for an event loop's server. Those of an unknown protocol cannot move."""
    kind = _movable(config.http_protocol_class)

    def create() -> asyncio.Protocol:
        connection: asyncio.Protocol = kind(config=config, server_state=state, app_state=app_state)
        if isinstance(connection, Movable):
            connection.settled = settled
        return connection

    return create


def _movable(chosen: type[Any]) -> type[Any]:
    if unknown_version():
        return chosen
    if chosen is H11Protocol:
        return _MovableH11
    if chosen.__module__ == "uvicorn.protocols.http.httptools_impl":
        return _movable_httptools()
    return chosen


def _movable_httptools() -> type[Movable]:
    """Return the class for httptools, which is not always installed."""
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol  # noqa: PLC0415

    class MovableHttpTools(Movable, HttpToolsProtocol):
        _has_begun = False

        def on_message_begin(self) -> None:
            self._has_begun = True
            super().on_message_begin()

        def on_message_complete(self) -> None:
            self._has_begun = False
            super().on_message_complete()

        def has_begun(self) -> bool:
            return self._has_begun or bool(self.pipeline)

    return MovableHttpTools
