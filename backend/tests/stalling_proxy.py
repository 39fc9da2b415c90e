"""A TCP proxy that can fall silent without closing anything, as a database behind a broken network does."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self


class StallingProxy:
    """Forwards connections on 127.0.0.1 to a port; while stalled it accepts and keeps them but passes nothing on."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._flowing = threading.Event()
        self._flowing.set()
        self._sockets: list[socket.socket] = []
        # How many have been accepted.
        self.connections = 0
        self.port: int = self._listener.getsockname()[1]

    def stall(self) -> None:
        self._flowing.clear()

    def resume(self) -> None:
        self._flowing.set()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            server = socket.create_connection(("127.0.0.1", self._target))
            self._sockets += [client, server]
            for source, destination in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(source, destination), daemon=True).start()

    def _pump(self, source: socket.socket, destination: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                self._flowing.wait()
                destination.sendall(data)
            destination.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # closed by the other pump or at the end

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._flowing.set()
        for connection in self._sockets:
            # Wakes the thread that waits for it, which closing does not.
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
