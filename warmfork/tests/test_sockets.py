"""Listening sockets: the parent holds them, and every process that serves gets them."""

import os
import socket
from pathlib import Path

from http_connection import Connection
from sample_project import Project
from traffic import Traffic
from warmfork_server import Serve, Server, unused_port

# Serves the version on each further socket too, as the systemd protocol hands them over (sd_listen_fds(3)).
LISTENING = """
import socket
import threading
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = str(VERSION).encode()
        self.send_response(200)
        self.send_header("Content-Length", len(body))
        self.end_headers()
        self.wfile.write(body)

    protocol_version = "HTTP/1.1"
    def handle(self):
        self.handle_one_request()

def serve(number):
    server = HTTPServer(("", 0), Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = socket.socket(fileno=number)
    # Another process may be sooner.
    server.socket.setblocking(False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    return server, thread

@asynccontextmanager
async def lifespan(_):
    assert os.environ["LISTEN_PID"] == str(os.getpid())
    names = os.environ["LISTEN_FDNAMES"].split(":")
    assert len(names) == int(os.environ["LISTEN_FDS"])
    Path("names").write_text(" ".join(names))
    servers = [serve(number) for number, _ in enumerate(names, start=3)]
    yield
    for server, thread in servers:
        server.shutdown()
        thread.join()

app = Starlette(routes=app.routes, lifespan=lifespan)
"""


def test_further_sockets(tiny: Project, serve: Serve) -> None:
    metrics, debug = unused_port(), unused_port()
    tiny.append("main.py", LISTENING)
    listen = ("--listen", f"metrics=127.0.0.1:{metrics}", "--listen", f"debug=127.0.0.1:{debug}")
    server = serve(tiny, *listen, "--no-standby")
    assert (tiny.directory / "names").read_text() == "metrics debug"
    with Traffic(metrics, kept=0, new=2) as traffic:
        for version in range(1, 11):
            tiny.replace("version.py", str(version - 1), str(version))
            server.until_text(str(version))
    assert traffic.failed == []
    assert traffic.answered > 10
    server.until("the old processes are gone", lambda: len(server.processes()) == 2)
    for port in (metrics, debug):
        with Connection(port) as connection:
            assert connection.get().text == "10"


def test_port_that_is_taken(tiny: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        server = Server(tiny, "--port", str(port))
        assert server.wait() == 1
        server.await_empty_session()
        assert f"127.0.0.1:{port}" in server.log
        assert "is taken by another process" in server.log
        assert "Traceback" not in server.log


def test_unix_socket(tiny: Project, tmp_path: Path, serve: Serve) -> None:
    path = tmp_path / "http.sock"
    server = serve(tiny, "--uds", str(path))
    with Connection(path) as kept:
        assert kept.get().text == "0"
        tiny.replace("version.py", "0", "1")
        server.until("the new code answers", lambda: kept.get().text == "1")
        with Connection(path) as new:
            assert new.get().text == "1"


def test_inherited_descriptor(tiny: Project, serve: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port, number = listener.getsockname()[1], listener.fileno()
        os.set_inheritable(number, True)
        server = serve(tiny, "--fd", str(number), file_descriptors=(number,))
    with Connection(port) as kept:
        assert kept.get().text == "0"
        tiny.replace("version.py", "0", "1")
        server.until("the new code answers", lambda: kept.get().text == "1")


def test_port_that_is_given(tiny: Project, serve: Serve) -> None:
    """All other tests let the kernel choose one."""
    port = unused_port()
    server = serve(tiny, port=port)
    assert server.reports(f"^serving tiny.main:app on http://127.0.0.1:{port} ")
    with Connection(port) as kept:
        assert kept.get().text == "0"
        tiny.replace("version.py", "0", "1")
        server.until("the new code answers", lambda: kept.get().text == "1")
