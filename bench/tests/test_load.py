"""The load counts what really becomes of its requests, against a server that does what a test tells it."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from bench import load as load_module
from bench.connection import Target, parse
from bench.history import ANSWERED, DROPPED, Exchange, Kind
from bench.load import Load, Rate, Ticker
from tests.ports import reserved_port

NEW_ONLY = Rate(new_period=0.01, kept=0, kept_period=1)
KEPT_ONLY = Rate(new_period=60, kept=2, kept_period=0.01)
# What a server does with a connection on which a request has come; the result tells whether to go on with it.
type Conduct = Callable[[socket.socket], bool]


def respond(body: bytes = b"one", status: str = "200 OK", extra: bytes = b"") -> Conduct:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n".encode() + extra + b"\r\n"

    def conduct(connection: socket.socket) -> bool:
        connection.sendall(head + body)
        return True

    return conduct


def send(data: bytes) -> Conduct:
    def conduct(connection: socket.socket) -> bool:
        connection.sendall(data)
        return False

    return conduct


def reset(connection: socket.socket) -> bool:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def respond_and_leave(connection: socket.socket) -> bool:
    respond()(connection)
    return False


class Server:
    """Answers every connection in a thread of its own; counts connections."""

    def __init__(self, conduct: Conduct) -> None:
        self.conduct = conduct
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            while connection.recv(1024) and self.conduct(connection):
                pass


@contextmanager
def serving(conduct: Conduct) -> Iterator[Server]:
    server = Server(conduct)
    try:
        yield server
    finally:
        server.close()


def read(body: bytes) -> tuple[str, str]:
    if body == b"unreadable":
        raise ValueError(body)
    return body.decode(), "replica"


def exchanges(port: int, rate: Rate, enough: int = 5) -> list[Exchange]:
    """Put a load on the port until so many exchanges have ended, and return all of them."""
    ended: list[Exchange] = []
    with Load(Target("127.0.0.1", port, "/", read), rate) as load:
        while len(ended) < enough:
            load.first_answer("never comes", 0.01)
            ended += load.take()
    return ended + load.take()


@pytest.mark.parametrize("rate", (NEW_ONLY, KEPT_ONLY))
@pytest.mark.parametrize(
    ("conduct", "outcome"),
    (
        (respond(), ANSWERED),
        (respond(status="503 Service Unavailable"), "status 503"),
        (respond(b"unreadable"), "unreadable"),
        (reset, "reset"),
        (send(b""), "closed"),
        (send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\non"), "cut off"),
        (send(b"HTTP/1.1 200 OK\r\n\r\none"), ANSWERED),
    ),
    ids=("answered", "503", "unreadable", "reset", "closed", "cut off", "until the end"),
)
def test_tells_what_became_of_a_request(rate: Rate, conduct: Conduct, outcome: str) -> None:
    with serving(conduct) as server:
        ended = exchanges(server.port, rate)
    kind = Kind.KEPT if rate is KEPT_ONLY else Kind.NEW
    assert {exchange.outcome for exchange in ended if exchange.kind == kind} == {outcome}
    assert all(exchange.began <= exchange.sent <= exchange.ended for exchange in ended)


def test_tells_that_nobody_listens() -> None:
    with reserved_port() as port:
        assert {exchange.outcome for exchange in exchanges(port, NEW_ONLY)} == {"refused"}


def test_gives_up_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_module, "PATIENCE", 0.2)
    finish = threading.Event()
    with ExitStack() as stack:
        server = stack.enter_context(serving(lambda _: not finish.wait(60)))
        stack.callback(finish.set)
        ended = exchanges(server.port, NEW_ONLY)
    assert {exchange.outcome for exchange in ended} == {"no answer"}
    # Not as late as the server would have closed them.
    assert all(0.2 <= exchange.ended - exchange.began < 60 for exchange in ended)


def test_sends_on_time_although_nothing_is_answered() -> None:
    answering = threading.Event()

    def conduct(connection: socket.socket) -> bool:
        answering.wait(30)
        return respond()(connection)

    with serving(conduct) as server, Load(Target("127.0.0.1", server.port, "/", read), NEW_ONLY) as load:
        while server.connections < 10:
            assert load.first_answer("one", 0.01) is None
        answering.set()
    assert len(load.take()) >= 10


def test_keeps_connections() -> None:
    with serving(respond()) as server:
        ended = exchanges(server.port, KEPT_ONLY, enough=20)
        kept = [exchange for exchange in ended if exchange.kind == Kind.KEPT]
        # Two kept ones, and the one that the other kind opens at its first tick.
        assert server.connections <= 3
    assert len(kept) >= 19
    assert {(exchange.outcome, exchange.version, exchange.replica) for exchange in kept} == {
        (ANSWERED, "one", "replica")
    }


def test_opens_a_connection_anew_that_was_closed_with_notice() -> None:
    def conduct(connection: socket.socket) -> bool:
        respond(extra=b"Connection: close\r\n")(connection)
        return False

    with serving(conduct) as server:
        ended = exchanges(server.port, KEPT_ONLY)
    assert {exchange.outcome for exchange in ended} == {ANSWERED}


def test_tells_of_a_connection_that_was_closed_without_notice() -> None:
    outcomes: set[str] = set()
    # On a busy machine the next request may be on its way before the server has closed.
    with serving(respond_and_leave) as server, Load(Target("127.0.0.1", server.port, "/", read), KEPT_ONLY) as load:
        while not {ANSWERED, DROPPED} <= outcomes:
            load.first_answer("never comes", 0.01)
            outcomes |= {exchange.outcome for exchange in load.take() if exchange.kind == Kind.KEPT}
    assert outcomes <= {ANSWERED, DROPPED, "closed", "reset"}


def test_tells_the_first_answer_of_a_version() -> None:
    with serving(respond(b"one")) as server, Load(Target("127.0.0.1", server.port, "/", read), NEW_ONLY) as load:
        first = load.first_answer("one", 30)
        server.conduct = respond(b"two")
        second = load.first_answer("two", 30)
        assert load.first_answer("one", 0) == first
    assert first is not None
    assert second is not None
    assert first < second
    assert min(exchange.ended for exchange in load.take() if exchange.version == "two") == second


def test_an_answer_is_complete_when_its_body_is() -> None:
    data = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: Close\r\n\r\none"
    assert all(parse(data[:length], at_end=False) is None for length in range(len(data)))
    response = parse(data, at_end=False)
    assert response is not None
    assert (response.status, response.body, response.closes) == (200, b"one", True)


def test_a_missed_tick_is_not_made_up_for() -> None:
    ticker = Ticker(period=1, due=10)
    times = (9.9, 10.1, 10.9, 11, 20.5, 20.6, 21.4, 21.5)
    assert [now for now in times if ticker.is_due(now)] == [10.1, 11, 20.5, 21.5]
