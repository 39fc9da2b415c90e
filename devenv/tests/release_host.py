"""A release host, with every way of not sending a file."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# What is sent before something goes wrong, in bytes.
BEGINNING = 10


class ReleaseHost(ThreadingHTTPServer):
    """Sends one content: at /right/..., and by the first part of the path in other ways or not at all."""

    daemon_threads = True

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.content = content
        # Paths, whole addresses where it was taken for a proxy.
        self.asked: list[str] = []
        self.ended = threading.Event()

    def address(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}"

    @contextmanager
    def running(self) -> Iterator["ReleaseHost"]:
        thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self.ended.set()
            self.shutdown()
            thread.join()
            self.server_close()


class _Request(BaseHTTPRequestHandler):
    server: ReleaseHost

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        way = self.path.removeprefix("http://release.invalid").split("/")[1]
        if way == "absent":
            self.send_error(404)
            return
        self.send_response(302 if way == "moved" else 200)
        self.send_header("Content-Length", str(0 if way == "moved" else len(self.server.content)))
        if way == "moved":
            self.send_header("Location", "/right")
        self.end_headers()
        if way in {"truncated", "silent"}:
            self.wfile.write(self.server.content[:BEGINNING])
        elif way != "moved":
            self.wfile.write(self.server.content)
        if way == "silent":
            self.server.ended.wait(30)

    def log_message(self, *_: object) -> None:
        pass
