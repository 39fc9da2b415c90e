"""A forked process: imports the application and serves it until it is told to leave."""

import asyncio
import gc
import importlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import uvicorn
from uvicorn.config import LOGGING_CONFIG
from uvicorn.importer import import_from_string

from warmfork import connections
from warmfork.activation import Activation
from warmfork.channel import MAXIMUM_DESCRIPTORS, Channel, Message, close_all
from warmfork.exclusive import Exclusive
from warmfork.failure import FailedApplication, Failure
from warmfork.loader import Importer
from warmfork.logs import RoutineFilter, configure
from warmfork.memory import read_all
from warmfork.prefault import prefault
from warmfork.reads import Reads
from warmfork.record import Record
from warmfork.settings import Settings
from warmfork.status import Status
from warmfork.territory import Territory

# Seconds that streams get to end once the graceful time is over, before they are cut off.
_STREAM_GRACE = 0.5


# Seconds that each worker process gets to end.
_WORKER_PATIENCE = 1.0


@dataclass
class Child:
    """What a forked process starts with."""

    settings: Settings
    channel: Channel
    listener: socket.socket
    activation: Activation
    importer: Importer
    territory: Territory
    status: Status
    # Modules to import ahead of a change, and those that must wait for it. A process without any starts at once.
    preimported: tuple[str, ...] = ()
    deferred: frozenset[str] = frozenset()
    # What the process before has executed and read.
    before: Record = field(default_factory=Record)
    # The process that serves meanwhile; 0 if there is none.
    sibling: int = 0
    # Serve this instead of the application.
    failure: Failure | None = None

    def run(self) -> NoReturn:
        """Do everything, then end the process."""
        code = 0
        try:
            self._serve()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
            self._report(Failure.of(end))
        except _StartupError as error:
            self._report(error.failure, at_startup=True)
            code = 1
        except _StaleError as error:
            self.channel.send("stale", files=sorted(error.files))
            code = 1
        except BaseException as error:  # noqa: BLE001 - whatever an application does when imported
            self._report(Failure.of(error))
            code = 1
        _end_process(code)

    def _report(self, failure: Failure, *, at_startup: bool = False) -> None:
        self.channel.send("failed", failure=failure.as_json(), at_startup=at_startup)

    def _serve(self) -> None:
        gc.disable()
        os.register_at_fork(after_in_child=self._leave_to_server)
        self.importer.admit()
        around = Territory([*self.importer.sources.trees, Path.cwd()])
        reads = Reads(self.importer.record, around.is_inside, lambda: self.importer.importing)
        libraries = set(sys.modules)
        exclusive = Exclusive()
        sys.addaudithook(self._on_prompt)
        config = self._configure()
        if self.deferred:
            self._prepare()
        self.activation.announce()
        with RoutineFilter() as log:
            try:
                self._load(config)
                loop_factory = config.get_loop_factory()
            except SystemExit as end:
                raise _StartupError(log.failure or Failure.of(end)) from end
            reads.stop()
            if self.deferred and (stale := self.importer.stale(self.settings.app.partition(":")[0], self.before)):
                # The last line of defence: it must not serve, whatever the reason.
                raise _StaleError(stale)
            server = _Server(config, self, log, libraries, exclusive.found())
            # What exists by now stays: no collection need look at it, or copy its pages.
            gc.freeze()
            gc.enable()
            with asyncio.Runner(loop_factory=loop_factory) as runner:
                runner.run(_until_the_end(server))

    def _leave_to_server(self) -> None:
        """In what the application forks: let go of what belongs to the server, and end when told to.

        The address would stay taken otherwise, the end of the server be missed, and a signal reach its event loop.
        """
        self.listener.close()
        self.channel.close()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)

    def _on_prompt(self, event: str, _: tuple[Any, ...]) -> None:
        """Tell the parent when a person is asked something, as by pdb, and when that is over."""
        if event == "builtins.input":
            self.channel.send("prompting", active=True)
        elif event == "builtins.input/result":
            self.channel.send("prompting", active=False)

    def _prepare(self) -> None:
        """Import what the next change will not touch, then wait for it."""
        for name in self.preimported:
            importlib.import_module(name)
        record = self.importer.record
        spoilt = sorted(self.deferred & record.files.keys())
        self.channel.send("prepared", spoilt=spoilt, record=record.as_json())
        if self.sibling:
            prefault(self.sibling)
        message = self.channel.receive(wait=True)
        if message is None:
            _end_process(0)
        self.importer.sources.unpack(read_all(message.descriptors[0]))
        self.status.generation = message.fields["generation"]
        if stale := record.touches(message.fields["files"]):
            raise _StaleError(stale)

    def _configure(self) -> uvicorn.Config:
        """Set up logging first, so that what the application sets up when it is imported stays."""
        own: dict[str, Any] = {"timeout_graceful_shutdown": self.settings.graceful_timeout}
        if self.failure:
            # In the plainest way, for any option may be the cause.
            own |= {"interface": "asgi3", "lifespan": "on", "factory": False, "log_config": LOGGING_CONFIG}
            own |= {"loop": "asyncio", "http": "auto", "http2": False, "ws": "auto"}
        return configure(self.settings.app, {**self.settings.uvicorn, **own})

    def _load(self, config: uvicorn.Config) -> None:
        config.app = FailedApplication(self.failure) if self.failure else import_from_string(self.settings.app)
        config.load()
        self.status.code = self.importer.sources.digest
        if self.settings.status_path:
            config.loaded_app = self.status.answering(self.settings.status_path, config.loaded_app)


async def _until_the_end(server: uvicorn.Server) -> NoReturn:
    await server.serve()
    _end_workers()
    # Handlers may still hold lines.
    logging.shutdown()
    _end_process(0)


def _end_workers() -> None:
    """End processes of multiprocessing, which would do it at an orderly exit."""
    if multiprocessing := sys.modules.get("multiprocessing"):
        workers = multiprocessing.active_children()
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join(_WORKER_PATIENCE)
            worker.kill()


def _end_process(code: int) -> NoReturn:
    """End at once: an orderly exit would wait for threads that hang, and run what the parent has registered."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class _StartupError(Exception):
    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.error)
        self.failure = failure


class _StaleError(Exception):
    """What was executed or read is not what is on the disk now."""

    def __init__(self, files: set[str]) -> None:
        super().__init__(", ".join(sorted(files)))
        self.files = files


class _Server(uvicorn.Server):
    """Serves on the inherited socket; the parent tells it when to begin, to hold requests back, and to leave."""

    def __init__(
        self, config: uvicorn.Config, child: Child, log: RoutineFilter, libraries: set[str], exclusive: str
    ) -> None:
        super().__init__(config)
        self._channel = child.channel
        self._listener = child.listener
        self._importer = child.importer
        self._territory = child.territory
        self._status = child.status
        self._hold_timeout = child.settings.hold_timeout
        self._graceful_timeout = child.settings.graceful_timeout
        self._log = log
        self._libraries = libraries
        self._exclusive = exclusive
        self._begin = asyncio.Event()
        self._end = asyncio.Event()
        self._held = False
        self._leaving = False
        self._resumption: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End well on SIGTERM; the parent alone answers to Ctrl-C."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._stop)
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002 - as in uvicorn
        """Start the application, and serve when the parent agrees."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._channel.fileno(), self._on_readable)
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            raise _StartupError(self._log.failure or Failure("startup failed", "The application gave no reason."))
        self._log.started()
        self._create = connections.protocol(self.config, self.server_state, self.lifespan.state, self._settled)
        self._channel.send(
            "loaded",
            learned=self._learned(),
            record=self._importer.record.as_json(),
            exclusive=self._exclusive,
        )
        await self._begin.wait()
        if self._end.is_set():
            self.should_exit = True
            return
        await self.on_tick(0)
        self.servers = []
        self._listen()
        self.started = True

    def _learned(self) -> list[str]:
        """Return libraries that only the application's import or start has imported; the parent can take them over."""
        new = [name for name in list(sys.modules) if name not in self._libraries]
        own = set(self._territory.modules(sys.modules, new))
        return [name for name in new if name not in own and getattr(sys.modules.get(name), "__spec__", None)]

    async def main_loop(self) -> None:
        """Wait for the end; uvicorn renews the date header once a second."""
        while not self._end.is_set():
            await asyncio.wait({asyncio.ensure_future(self._end.wait())}, timeout=1)
            await self.on_tick(0)

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
                asyncio.get_running_loop().call_later(1, self._listen_again)
                return
            self._run(self._serve_connection(connection))

    def _listen_again(self) -> None:
        if not self._held and not self._leaving:
            self._listen()

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
            self._begin.set()
        elif message.event == "hold" and not self._leaving:
            self._hold()
        elif message.event == "resume":
            self._status.failure = Failure(**message.fields) if message.fields else None
            self._resume()
        elif message.event == "adopt":
            for descriptor in message.descriptors:
                self._run(self._serve_connection(socket.socket(fileno=descriptor), adopted=True))
        elif message.event == "leave" and not self._leaving:
            self._leaving = True
            self._run(self._leave())
        elif message.event == "stop":
            self._stop()
        else:
            close_all(message.descriptors)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        # The loop itself keeps no reference that would protect it from being collected.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _hold(self) -> None:
        if self._resumption:
            self._resumption.cancel()
        self._resumption = asyncio.get_running_loop().call_later(self._hold_timeout, self._resume)
        if not self._held:
            self._held = True
            self._stop_listening()
            self._settle(self._between_requests())

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
            await asyncio.sleep(0.02)
            # An answer may have waited for its last bytes to be sent.
            self._settle(self._between_requests())
        self.config.timeout_graceful_shutdown = _STREAM_GRACE  # type: ignore[assignment]
        self._end.set()

    def _stop(self) -> None:
        self._begin.set()
        self._end.set()
        self.should_exit = True
