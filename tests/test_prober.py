"""The drills' prober finds faults: writes that are lost, doubled or refused, and answers that are wrong."""

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from threading import Lock, Thread

import pytest

from tests.drills.prober import Record, Site
from tests.drills.traffic import PROBER, Figures, Row, Traffic, lost_writes, recovery

REQUESTS = 200


class Application(ThreadingHTTPServer):
    """Keeps todos, and is as faulty as it is told to be."""

    daemon_threads = True
    # Of 5 connections that wait to be accepted, the default, one more is dropped by the kernel, and asks in vain.
    request_queue_size = 128

    def __init__(self, fault: str = "") -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.fault = fault
        self.todos: dict[int, str] = {}
        self.lock = Lock()
        self.numbers = count(1)
        self.writes = count(1)
        self.connections = 0

    def rows(self) -> list[Row]:
        return [Row(number, title) for number, title in self.todos.items()]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Application

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        number = self.path.rpartition("/")[2]
        if not number.isdecimal():
            self.answer(200, [])
        else:
            self.answer(200, {"id": int(number), "title": self.server.todos[int(number)]})

    def do_POST(self) -> None:
        self.write(next(self.server.numbers))

    def do_PUT(self) -> None:
        self.write(int(self.path.rpartition("/")[2]))

    def do_DELETE(self) -> None:
        number = int(self.path.rpartition("/")[2])
        with self.server.lock:
            self.answer(200, {"id": number, "title": self.server.todos.pop(number)})

    def write(self, number: int) -> None:
        title = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["title"]
        # The first writes are well, so that each kind of request has been seen.
        fault = self.server.fault if next(self.server.writes) % 10 == 0 else ""
        with self.server.lock:
            if fault != "loses":
                self.server.todos[number] = title
            if fault == "doubles":
                self.server.todos[next(self.server.numbers)] = title
        if fault == "refuses":
            self.answer(503, {"detail": "away"})
        elif fault == "breaks off":
            self.close_connection = True
        else:
            self.answer(200, {"id": number, "title": "another" if fault == "mixes up" else title})

    def answer(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        if self.server.fault == "closes":
            # Without a word, as a server does whose time to keep a connection is over.
            self.close_connection = True


@contextmanager
def serving(fault: str = "") -> Iterator[Application]:
    with Application(fault) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def probe(server: Application, *options: str) -> list[Record]:
    url = f"http://127.0.0.1:{server.server_address[1]}"
    with Traffic([sys.executable, PROBER, "--url", url], ["--rate", "400", *options]) as traffic:
        traffic.wait_for(REQUESTS)
    return traffic.records()


@pytest.mark.core
def test_good_application_loses_nothing() -> None:
    with serving() as server:
        records = probe(server)
    assert [record.error for record in records if record.error] == []
    assert {record.method for record in records} == {"GET", "POST", "PUT", "DELETE"}
    for kept in (True, False):
        assert {record.method for record in records if record.kept == kept} == {"GET", "POST", "PUT", "DELETE"}
    assert lost_writes(records, server.rows()) == []
    assert server.connections < len(records)


def test_connection_that_the_server_has_closed_is_not_used_again() -> None:
    async def ask_twice(server: Application) -> None:
        site = Site("127.0.0.1", server.server_port)
        for _ in range(2):
            assert (await site.ask("GET", "/", None, kept=True)).status == 200
            for connection in site.kept:
                # Its end is there when the server's is.
                assert await connection.reader.read() == b""
        site.close()
        # For the loop to close what is closed now.
        await asyncio.sleep(0)

    with serving("closes") as server:
        asyncio.run(ask_twice(server))
    assert server.connections == 2


@pytest.mark.parametrize("fault", ("loses", "doubles"))
def test_write_that_is_not_there_once_is_lost(fault: str) -> None:
    with serving(fault) as server:
        records = probe(server, "--seconds", "2")
        # What was lost and written again afterwards is there.
        assert lost_writes(records, server.rows())


@pytest.mark.parametrize(("fault", "status"), (("refuses", 503), ("breaks off", 0), ("mixes up", 200)))
def test_request_without_a_good_answer_has_failed(fault: str, status: int) -> None:
    with serving(fault) as server:
        records = probe(server)
        figures = Figures.of(records, server.rows())
    assert figures.failed > REQUESTS / 40
    errors = {record.status: record.error for record in records if record.error}
    assert errors.keys() == {status}, errors
    # Whether it was carried out nobody knows.
    assert figures.lost == []


def test_nothing_is_sent_without_bounds() -> None:
    with serving() as server, pytest.raises(AssertionError, match="ended early"):
        probe(server, "--rate", "1000000")


def test_recovery_ends_with_the_last_failure_after_the_fault() -> None:
    records = [
        Record(due, "GET", "/", kept=False, error=error) for due, error in ((0, ""), (1, "x"), (1.5, "x"), (9, "x"))
    ]
    assert recovery(records, 2) == 7
    # The last one failed before the fault was over.
    assert recovery(records, 9.5) == 0
    assert recovery(records[:1], 0) == 0
