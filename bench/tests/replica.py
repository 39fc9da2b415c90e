"""What stands in for a replica of the backend."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import override


class Replica(ThreadingHTTPServer):
    """Answers with its code and its name; loses the connection instead while `losing` is positive."""

    daemon_threads = True

    def __init__(self, code: Callable[[], str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.code = code
        self.losing = 0
        self.asked = threading.Event()
        self.ports: set[int] = set()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        replica = self.server
        assert isinstance(replica, Replica)
        replica.ports.add(self.client_address[1])
        replica.asked.set()
        if replica.losing:
            replica.losing -= 1
            self.close_connection = True
            return
        body = json.dumps({"code": replica.code(), "pod": str(replica.server_port)}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving(code: Callable[[], str]) -> Iterator[Replica]:
    with Replica(code) as replica:
        thread = threading.Thread(target=replica.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield replica
        finally:
            replica.shutdown()
            thread.join()
