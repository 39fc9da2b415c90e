"""uvicorn's server on an inherited socket, which a parent tells to begin, to hold requests back, and to leave."""

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import uvicorn

from warmfork.channel import MAXIMUM_DESCRIPTORS, Channel, Message, close_all
from warmfork.child.title import Title, set_title
from warmfork.failure import Failure
from warmfork.server import connections
from warmfork.server.logs import RoutineFilter
from warmfork.server.status import Status

# Seconds that streams get to end once the graceful time is over, before they are cut off.
_STREAM_GRACE = 0.5
# Seconds between two looks at what is still under way when the server leaves.
_LEAVING_PAUSE = 0.02
# Seconds without accepting connections after the kernel refused one.
_ACCEPT_PAUSE = 1.0


class StartupError(Exception):
    """The application's lifespan, or the server's configuration, did not start."""

    def __init__(self, failure: Failure) -> None:
        """failure: as it is to be reported."""
        super().__init__(failure.error)
        self.failure = failure


class Server(uvicorn.Server):
    """Serves an application that is loaded.

    Tells the parent "loaded" when its lifespan has started, and waits for "serve" then.
    """

    def __init__(  # noqa: PLR0913 - what it serves, and with what
        self,
        config: uvicorn.Config,
        *,
        channel: Channel,
        listener: socket.socket,
        status: Status,
        log: RoutineFilter,
        describe: Callable[[], dict[str, Any]],
    ) -> None:
        """describe: returns what the parent is told once the application has started."""
        super().__init__(config)
        self._channel = channel
        self._listener = listener
        self._graceful_timeout = config.timeout_graceful_shutdown or 0
        self._status = status
        self._log = log
        self._describe = describe
        self._begin = asyncio.Event()
        self._end = asyncio.Event()
        self._held = False
        self._leaving = False
        self._resumption: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    # --- uvicorn's steps

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End well on SIGTERM; the parent alone answers to Ctrl-C."""
        before = signal.getsignal(signal.SIGTERM)
        # What wakes the loop, and then the handler by which libraries find the server: streams end when it is to.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGTERM, self.handle_exit)
        yield
        self._signal(before)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002 - as in uvicorn
        """Start the application, and serve when the parent agrees."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._channel.fileno(), self._on_readable)
        began = time.monotonic()
        await self.lifespan.startup()
        self._status.lifespan = time.monotonic() - began
        if self.lifespan.should_exit:
            raise StartupError(self._log.failure or Failure("startup failed", "The application gave no reason."))
        self._log.started()
        self._create = connections.protocol(self.config, self.server_state, self.lifespan.state, self._settled)
        self._channel.send("loaded", lifespan=self._status.lifespan, **self._describe())
        await self._begin.wait()
        if self._end.is_set():
            self.should_exit = True
            return
        await self.on_tick(0)
        self.servers = []
        self._listen()
        self.started = True

    async def main_loop(self) -> None:
        """Wait for the end; uvicorn renews the date header once a second."""
        while not self._end.is_set():
            await asyncio.wait({asyncio.ensure_future(self._end.wait())}, timeout=1)
            await self.on_tick(0)

    # --- what the parent says

    def _on_readable(self) -> None:
        while True:
            try:
                message = self._channel.receive()
            except BlockingIOError:
                return
            if message is None:
                # The parent has ended. One that restarts keeps its end open.
                asyncio.get_running_loop().remove_reader(self._channel.fileno())
                self._stop()
                return
            self._on_message(message)

    def _on_message(self, message: Message) -> None:
        if message.event == "serve":
            set_title(Title.SERVING)
            self._begin.set()
        elif message.event == "hold" and not self._leaving:
            self._hold(message.fields["seconds"])
            self._channel.send("held", number=message.fields["number"])
        elif message.event == "resume":
            self._status.failure = Failure(**message.fields) if message.fields else None
            self._status.is_outdated = False
            self._resume()
        elif message.event == "adopt":
            for descriptor in message.descriptors:
                self._run(self._serve_connection(socket.socket(fileno=descriptor), adopted=True))
        elif message.event == "leave" and not self._leaving:
            self._leaving = True
            set_title(Title.DRAINING)
            self._begin_to_exit()
            self._run(self._leave())
        elif message.event == "stop":
            if not self._leaving:
                self._begin_to_exit()
            self._stop()
        else:
            close_all(message.descriptors)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        # The loop itself keeps no reference that would protect it from being collected.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- connections

    def _listen(self) -> None:
        # Not by asyncio's own servers: one that is closed loses connections that it has just accepted.
        asyncio.get_running_loop().add_reader(self._listener, self._accept)

    def _stop_listening(self) -> None:
        asyncio.get_running_loop().remove_reader(self._listener)

    def _accept(self) -> None:
        for _ in range(self.config.backlog):
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                # Out of descriptors, most likely; until some are free again the connection waits.
                logging.getLogger("uvicorn.error").error("cannot accept a connection: %s", error)  # noqa: TRY400
                self._stop_listening()
                asyncio.get_running_loop().call_later(_ACCEPT_PAUSE, self._listen_again)
                return
            self._run(self._serve_connection(connection))

    def _listen_again(self) -> None:
        if not self._held and not self._leaving:
            self._listen()

    async def _serve_connection(self, connection: socket.socket, *, adopted: bool = False) -> None:
        connection.setblocking(False)
        # What another process has given up is without TLS.
        tls = None if adopted else self.config.ssl
        loop = asyncio.get_running_loop()
        # A client that speaks no TLS, or goes away meanwhile.
        with suppress(OSError):
            _, protocol = await loop.connect_accepted_socket(self._create, connection, ssl=tls)
            if isinstance(protocol, connections.Movable):
                if adopted:
                    protocol.adopt()
                # Before its first request is read, which is for newer code if requests are held by now.
                self._settled(protocol)

    def _hold(self, seconds: float) -> None:
        if self._resumption:
            self._resumption.cancel()
        self._resumption = asyncio.get_running_loop().call_later(seconds, self._go_on)
        if not self._held:
            self._held = True
            self._stop_listening()
            self._settle(self._between_requests())

    def _go_on(self) -> None:
        """Answer by this code, though newer one is on its way."""
        self._status.is_outdated = True
        self._channel.send("gave up")
        self._resume()

    def _resume(self) -> None:
        if self._resumption:
            self._resumption.cancel()
        if self._held and not self._leaving:
            self._held = False
            self._listen()
            for connection in self._between_requests():
                connection.resume()

    def _between_requests(self) -> list[connections.Movable]:
        candidates = [one for one in self.server_state.connections if isinstance(one, connections.Movable)]
        return [one for one in candidates if one.is_between_requests()]

    def _settled(self, connection: connections.Movable) -> None:
        if (self._held or self._leaving) and connection.is_between_requests():
            self._settle([connection])

    def _settle(self, between_requests: list[connections.Movable]) -> None:
        """Read no further request; when leaving, pass on the connections on which everything is sent as well."""
        for connection in between_requests:
            connection.hold()
        if self._leaving:
            self._hand_over([connection for connection in between_requests if connection.is_idle()])

    def _hand_over(self, idle: list[connections.Movable]) -> None:
        descriptors = [descriptor for one in idle if (descriptor := one.give_up()) is not None]
        for start in range(0, len(descriptors), MAXIMUM_DESCRIPTORS):
            self._channel.send("idle", descriptors[start : start + MAXIMUM_DESCRIPTORS])
        close_all(descriptors)

    # --- the end

    async def _leave(self) -> None:
        """Pass on what is idle, finish what is under way, and end."""
        self._stop_listening()
        self._settle(self._between_requests())
        # WebSockets are told at once, so that their clients come back soon.
        for connection in list(self.server_state.connections):
            if not isinstance(connection, connections.Movable):
                connection.shutdown()
        deadline = asyncio.get_running_loop().time() + self._graceful_timeout
        # Beside this task there are those of connections that are being made.
        while self.server_state.connections or self.server_state.tasks or len(self._tasks) > 1:
            if asyncio.get_running_loop().time() >= deadline:
                break
            await asyncio.sleep(_LEAVING_PAUSE)
            # An answer may have waited for its last bytes to be sent.
            self._settle(self._between_requests())
        self.config.timeout_graceful_shutdown = _STREAM_GRACE  # type: ignore[assignment]
        self._end.set()

    def _begin_to_exit(self) -> None:
        """Let the application know, as the signal does under uvicorn, of which the parent sends none."""
        self.should_exit = True
        if (handler := signal.getsignal(signal.SIGTERM)) != self.handle_exit:
            self._signal(handler)

    def _signal(self, handler: object) -> None:
        """Call what the application has set up for the signal to end, which may want to end at once."""
        if callable(handler):
            with suppress(SystemExit, KeyboardInterrupt):
                handler(signal.SIGTERM, None)

    def _stop(self) -> None:
        self._begin.set()
        self._end.set()
        self.should_exit = True
