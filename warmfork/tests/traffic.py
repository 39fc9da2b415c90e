"""Requests without a pause from several threads, and what was wrong with their answers."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from http_connection import Answer, Connection, request


class Traffic:
    """Asks for a version that only ever grows, on connections that are kept and on ones that are made anew each time.

    An answer is wrong when it is older than one that had been received, on any connection, before its request was sent.
    """

    def __init__(self, port: int, kept: int = 2, new: int = 2) -> None:
        self.answered = 0
        self.wrong: list[str] = []
        self.failed: list[str] = []
        self._port = port
        self._newest = 0
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        clients: list[Callable[[], None]] = [self._keep] * kept + [self._renew] * new
        self._threads = [threading.Thread(target=self._repeat, args=(client,)) for client in clients]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, client: Callable[[], None]) -> None:
        while not self._stopping.is_set():
            try:
                client()
            except (OSError, ValueError) as error:
                with self._lock:
                    self.failed.append(repr(error))

    def _keep(self) -> None:
        """Ask on one connection until the server says that it closes it."""
        with Connection(self._port) as connection:
            while not self._stopping.is_set() and not self._ask(connection).is_last:
                pass

    def _renew(self) -> None:
        with Connection(self._port) as connection:
            self._ask(connection, "Connection: close")

    def _ask(self, connection: Connection, *headers: str) -> Answer:
        floor = self._newest
        connection.send(request("/", *headers))
        answer = connection.answer()
        with self._lock:
            self._judge(answer, floor)
        return answer

    def _judge(self, answer: Answer, floor: int) -> None:
        self.answered += 1
        if answer.status != 200:
            self.failed.append(f"{answer.status} {answer.text}")
            return
        version = int(answer.text)
        if version < floor:
            self.wrong.append(f"{version} after {floor}")
        self._newest = max(self._newest, version)
