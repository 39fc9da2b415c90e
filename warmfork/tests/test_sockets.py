"""Listening sockets: the parent holds them, and every process that serves gets them."""

import os
import re
import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from http_connection import Connection
from sample_project import Project
from traffic import Traffic
from warmfork.settings import Settings, SettingsError
from warmfork.sockets import bind
from warmfork_server import NEW_PROGRAM, Serve, Server, sockets, unused_port

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
    server.until_one_serves()
    for port in (metrics, debug):
        with Connection(port) as connection:
            assert connection.get().text == "10"


def test_port_that_is_taken(tiny: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        server = Server(tiny, "--port", str(port), prefix=NEW_PROGRAM)
        assert server.wait() == 1
        server.await_empty_session()
        assert f"127.0.0.1:{port}" in server.log
        assert "is taken by another process" in server.log
        assert "Traceback" not in server.log


def facts(listener: socket.socket) -> Iterator[object]:
    """Yield what tells one listening socket from another, apart from its port."""
    yield listener.family
    yield listener.type
    yield listener.getsockname()[0]
    yield listener.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
    yield listener.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
    if listener.family == socket.AF_INET6:
        yield listener.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)


@pytest.mark.parametrize("host", ("127.0.0.1", "0.0.0.0", "", "localhost", "::", "::1"))  # noqa: S104
def test_socket_is_as_uvicorn_opens_it(host: str) -> None:
    theirs = uvicorn.Config("no:application", host=host, port=0, log_config=None).bind_socket()
    ours, _ = bind(Settings(app="no:application", host=host, port=0), None)
    with theirs, ours:
        assert list(facts(ours)) == list(facts(theirs))
        assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1


def test_all_addresses_of_both_families(tiny: Project, serve: Serve) -> None:
    server = serve(tiny, "--host", "::")
    assert server.reports(r"^serving tiny.main:app on http://\[::\]:[0-9]+ ")
    for host in ("127.0.0.1", "::1"):
        with Connection(server.port, host) as connection:
            assert connection.get().text == "0"


def test_address_of_another_machine() -> None:
    with pytest.raises(
        SettingsError, match=r"--port: cannot listen on 192\.0\.2\.1:0: Cannot assign requested address"
    ):
        bind(Settings(app="no:application", host="192.0.2.1", port=0), None)


def test_unix_socket(tiny: Project, tmp_path: Path, serve: Serve) -> None:
    path = tmp_path / "http.sock"
    # A server that was killed leaves one.
    with socket.socket(socket.AF_UNIX) as ended:
        ended.bind(str(path))
    server = serve(tiny, "--uds", str(path))
    assert server.reports(f"^serving tiny.main:app on {re.escape(str(path))} ")
    assert stat.S_IMODE(path.stat().st_mode) == 0o666
    with Connection(path) as kept:
        assert kept.get().text == "0"
        tiny.replace("version.py", "0", "1")
        server.until("the new code answers", lambda: kept.get().text == "1")
        with Connection(path) as new:
            assert new.get().text == "1"
        with pytest.raises(SettingsError, match=rf"--uds: {re.escape(str(path))} is taken by another process"):
            bind(Settings(app="no:application", uds=str(path)), None)
        assert kept.get().text == "1"
    server.stop()
    assert not path.exists()


def test_unix_socket_in_place_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("content")
    with pytest.raises(SettingsError, match=r"--uds: .* is a file, and no socket"):
        bind(Settings(app="no:application", uds=str(path)), None)
    assert path.read_text() == "content"


def test_descriptor_that_does_not_listen_yet() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        listener, _ = bind(Settings(app="no:application", fd=bound.fileno()), None)
        with listener, socket.create_connection(bound.getsockname()) as client, listener.accept()[0] as connection:
            assert connection.getpeername() == client.getsockname()


def test_descriptor_on_an_address_that_another_listens_on() -> None:
    with socket.socket() as bound, socket.socket() as sooner:
        for one in (bound, sooner):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", 0))
        sooner.bind(bound.getsockname())
        sooner.listen()
        with pytest.raises(SettingsError, match=rf"--fd {bound.fileno()}: .* is taken by another process"):
            bind(Settings(app="no:application", fd=bound.fileno()), None)


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
    server = serve(tiny, port=port, prefix=NEW_PROGRAM)
    assert server.reports(f"^serving tiny.main:app on http://127.0.0.1:{port} ")
    with Connection(port) as kept:
        assert kept.get().text == "0"
        tiny.replace("version.py", "0", "1")
        server.until("the new code answers", lambda: kept.get().text == "1")


# Programs as C starts them, which get all that is not closed for them.
PROGRAM = """
import subprocess

program = subprocess.Popen(["sleep", "60"], close_fds=False)
"""


@pytest.mark.parametrize("is_restarted", (False, True), ids=("first", "restarted"))
def test_program_of_the_application_holds_no_socket_of_the_server(
    is_restarted: bool,
    tiny: Project,
    serve: Serve,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as given:
        options = ("--fd", str(given.fileno()), "--listen", f"metrics=127.0.0.1:{unused_port()}")
        port = given.getsockname()[1]
        server = serve(tiny, *options, port=port, file_descriptors=(given.fileno(),))
    if is_restarted:
        before = server.get("/process").json["pid"]
        server.signal(signal.SIGHUP)
        server.until("another process serves", lambda: server.get("/process").json["pid"] != before)
    tiny.append("version.py", PROGRAM + "VERSION = 1\n")
    server.until_text("1")
    # What is imported ahead of the next change starts one as well.
    programs = [process.pid for process in server.processes() if process.title == "sleep"]
    assert programs
    for program in programs:
        assert sockets(program) & sockets(server.pid) == set()
    assert len(sockets(server.pid)) > 1
