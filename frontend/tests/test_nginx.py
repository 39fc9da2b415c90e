"""The real nginx with nginx.conf, in front of a backend that answers on command."""

import gzip
import math
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

import pytest

from frontend.tests.fake_api import FRONTEND
from frontend.tests.loopback import LoopbackHandler, LoopbackServer
from frontend.tests.nginx_process import (
    PATIENCE,
    SERVED,
    Nginx,
    Reply,
    assert_security_headers,
    refuses_connections,
    reserved_port,
    running_nginx,
)

pytestmark = pytest.mark.nginx

# In /proc/net/tcp.
SYN_SENT = "02"
# Seconds after which the kernel sends a lost packet again.
SENT_AGAIN = 1.0


@dataclass(frozen=True)
class Seen:
    """A request as the backend got it."""

    method: str
    target: str
    headers: Message
    body: bytes
    peer: int


class Backend(LoopbackServer):
    """Records requests and answers each with `respond`, by default 200 and an empty object."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.respond: Callable[[LoopbackHandler], None] = lambda handler: send(handler, 200, b"{}")
        super().__init__(BackendHandler)


class BackendHandler(LoopbackHandler):
    server: Backend

    def handle_any(self) -> None:
        body = self.read_body()
        self.server.seen.append(Seen(self.command, self.path, self.headers, body, self.client_address[1]))
        self.server.respond(self)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815 (the base class looks for these)


def send(handler: LoopbackHandler, status: int, body: bytes, **headers: str) -> None:
    """Answer with `headers`, whose names have _ for -, besides the usual ones."""
    handler.send(status, "application/json", body, {name.replace("_", "-"): text for name, text in headers.items()})


def hang_up(handler: LoopbackHandler) -> None:
    handler.close_connection = True


@pytest.fixture(scope="module")
def shared_backend() -> Iterator[Backend]:
    with Backend() as backend:
        yield backend


@pytest.fixture(scope="module")
def shared_nginx(shared_backend: Backend) -> Iterator[Nginx]:
    with running_nginx(shared_backend.server_port) as nginx:
        yield nginx


@pytest.fixture
def backend(shared_backend: Backend) -> Backend:
    shared_backend.seen.clear()
    shared_backend.respond = lambda handler: send(handler, 200, b"{}")
    return shared_backend


@pytest.fixture
def nginx(shared_nginx: Nginx, backend: Backend) -> Nginx:  # noqa: ARG001 (a fresh backend for each test)
    return shared_nginx


class TestHeaders:
    @pytest.mark.parametrize(
        ("status", "method", "target"),
        (
            (200, "GET", "/"),
            (200, "HEAD", "/"),
            (200, "GET", "/app.js"),
            (200, "GET", "/style.css"),
            (200, "GET", "/favicon.svg"),
            (200, "GET", "/healthz"),
            (200, "GET", "/api/todos/"),
            (200, "POST", "/api/todos/"),
            (308, "GET", "/api"),
            (404, "GET", "/nothing"),
            (404, "GET", "/nothing.html"),
            (405, "DELETE", "/"),
            (405, "POST", "/app.js"),
        ),
    )
    def test_stand_on_every_answer(self, nginx: Nginx, status: int, method: str, target: str) -> None:
        reply = nginx.ask(method, target)
        assert reply.status == status
        assert_security_headers(reply)

    @pytest.mark.parametrize("status", (201, 204, 307, 400, 404, 413, 422, 500, 502, 503, 504))
    def test_stand_on_the_backends_own_answers(self, nginx: Nginx, backend: Backend, status: int) -> None:
        body = b"" if status == 204 else b'{"detail":"mine"}'
        backend.respond = lambda handler: send(handler, status, body)
        reply = nginx.get("/api/todos/")
        assert (reply.status, reply.body) == (status, body)
        assert_security_headers(reply)

    def test_stand_on_304(self, nginx: Nginx) -> None:
        reply = nginx.get("/", If_None_Match=nginx.get("/").headers["ETag"])
        assert reply.status == 304
        assert_security_headers(reply)

    @pytest.mark.parametrize("target", ("/", "/api/todos/"))
    def test_stand_on_413(self, nginx: Nginx, target: str) -> None:
        reply = nginx.ask("POST", target, b"x" * (64 * 1024 + 1))
        assert reply.status == 413
        assert_security_headers(reply)

    @pytest.mark.parametrize(
        ("status", "request_text"),
        (
            (400, b"GET / HTTP/1.1\r\n\r\n"),
            (400, b"nonsense\r\n\r\n"),
            (414, b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\n"),
        ),
        ids=("no host", "nonsense", "long"),
    )
    def test_stand_on_malformed_requests(self, nginx: Nginx, status: int, request_text: bytes) -> None:
        reply = nginx.send_raw(request_text)
        assert reply.status == status
        assert_security_headers(reply)

    def test_tell_no_version(self, nginx: Nginx) -> None:
        assert nginx.get("/api").headers["Server"] == "nginx"
        assert b"nginx/" not in nginx.get("/api").body


class TestStaticFiles:
    @pytest.mark.parametrize(
        ("target", "name", "content_type"),
        (
            ("/", "index.html", "text/html; charset=utf-8"),
            ("/index.html", "index.html", "text/html; charset=utf-8"),
            ("/?from=mail", "index.html", "text/html; charset=utf-8"),
            ("/app.js", "app.js", "text/javascript; charset=utf-8"),
            ("/style.css", "style.css", "text/css; charset=utf-8"),
            ("/favicon.svg", "favicon.svg", "image/svg+xml"),
        ),
    )
    def test_are_served_and_checked_each_time(self, nginx: Nginx, target: str, name: str, content_type: str) -> None:
        reply = nginx.get(target)
        assert reply.status == 200
        assert reply.body == (FRONTEND / name).read_bytes()
        assert reply.headers["Content-Type"] == content_type
        assert reply.headers.get_all("Cache-Control") == ["no-cache"]
        assert reply.headers["Retry-After"] is None
        again = nginx.get(target, If_None_Match=reply.headers["ETag"])
        assert (again.status, again.body) == (304, b"")

    def test_are_compressed_and_still_match(self, nginx: Nginx) -> None:
        reply = nginx.get("/style.css", Accept_Encoding="gzip")
        assert reply.headers["Content-Encoding"] == "gzip"
        assert reply.headers["Vary"] == "Accept-Encoding"
        assert gzip.decompress(reply.body) == (FRONTEND / "style.css").read_bytes()
        assert nginx.get("/style.css", If_None_Match=reply.headers["ETag"], Accept_Encoding="gzip").status == 304

    def test_change_with_the_file(self, nginx: Nginx) -> None:
        file = nginx.html / "changing.js"
        file.write_text("one")
        before = nginx.get("/changing.js")
        file.write_text("three")
        after = nginx.get("/changing.js", If_None_Match=before.headers["ETag"])
        file.unlink()
        assert (before.body, after.status, after.body) == (b"one", 200, b"three")

    @pytest.mark.parametrize(
        "target",
        (
            "/nginx.conf",
            "/.env",
            "/.git/config",
            "/.hidden.js",
            "/tests/test_page.js",
            "/tests/",
            "/tests",
            "/../nginx.conf",
            "/%2e%2e/nginx.conf",
            "/app.js/",
            "/app.js.bak",
            "/app",
        ),
    )
    def test_are_the_only_ones(self, nginx: Nginx, target: str) -> None:
        (nginx.html / "tests").mkdir(exist_ok=True)
        for name in ("nginx.conf", ".env", ".hidden.js", "tests/test_page.js", "app.js.bak"):
            (nginx.html / name).write_text("secret")
        reply = nginx.get(target)
        assert reply.status in {400, 404}
        assert b"secret" not in reply.body

    def test_include_a_page_for_unknown_addresses(self, nginx: Nginx) -> None:
        reply = nginx.get("/nothing/here")
        assert reply.status == 404
        assert reply.body == (FRONTEND / "404.html").read_bytes()
        assert reply.headers["Content-Type"] == "text/html; charset=utf-8"

    def test_health(self, nginx: Nginx) -> None:
        reply = nginx.get("/healthz")
        assert (reply.status, reply.body) == (200, b"ok\n")
        assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"


class TestProxy:
    @pytest.mark.parametrize(
        ("target", "expected"),
        (
            ("/api/todos/", "/todos/"),
            ("/api/todos/?skip=5&limit=10", "/todos/?skip=5&limit=10"),
            ("/api/", "/"),
            ("/api/docs", "/docs"),
            ("/api/a%20b", "/a%20b"),
            ("/api/api/", "/api/"),
        ),
    )
    def test_removes_the_prefix(self, nginx: Nginx, backend: Backend, target: str, expected: str) -> None:
        assert nginx.get(target).status == 200
        assert [seen.target for seen in backend.seen] == [expected]

    @pytest.mark.core
    @pytest.mark.parametrize("method", ("POST", "PUT", "DELETE"))
    def test_passes_method_and_body(self, nginx: Nginx, backend: Backend, method: str) -> None:
        nginx.ask(method, "/api/todos/1", b'{"title":"Milk"}', Content_Type="application/json")
        (seen,) = backend.seen
        assert (seen.method, seen.body) == (method, b'{"title":"Milk"}')
        assert seen.headers["Content-Type"] == "application/json"

    def test_says_for_whom_it_asks(self, nginx: Nginx, backend: Backend) -> None:
        nginx.get("/api/todos/", Host="todo.example:8080", X_Forwarded_For="192.0.2.1")
        (seen,) = backend.seen
        assert {name: seen.headers[name] for name in seen.headers if name.startswith(("Host", "X-Forwarded"))} == {
            "Host": "todo.example",
            "X-Forwarded-For": "192.0.2.1, 127.0.0.1",
            "X-Forwarded-Host": "todo.example",
            "X-Forwarded-Prefix": "/api",
            "X-Forwarded-Proto": "http",
        }

    @pytest.mark.parametrize(("given", "expected"), (("https", "https"), ("http", "http"), ("gopher", "http")))
    def test_believes_a_gateway_about_tls(self, nginx: Nginx, backend: Backend, given: str, expected: str) -> None:
        nginx.get("/api/todos/", X_Forwarded_Proto=given)
        assert backend.seen[0].headers["X-Forwarded-Proto"] == expected

    def test_keeps_connections_to_the_backend_for_a_while(self, backend: Backend) -> None:
        with running_nginx(backend.server_port, {"worker_processes 2;": "worker_processes 1;"}) as nginx:
            for _ in range(32):
                nginx.get("/api/todos/")
        assert len({seen.peer for seen in backend.seen}) == 2

    def test_leaves_caching_to_the_backend(self, nginx: Nginx, backend: Backend) -> None:
        assert nginx.get("/api/todos/").headers["Cache-Control"] is None
        backend.respond = lambda handler: send(handler, 200, b"{}", Cache_Control="max-age=60")
        assert nginx.get("/api/todos/").headers.get_all("Cache-Control") == ["max-age=60"]

    def test_streams_when_the_backend_asks_for_it(self, nginx: Nginx, backend: Backend) -> None:
        first_was_read = threading.Event()

        def stream(handler: LoopbackHandler) -> None:
            handler.send_response(200)
            handler.send_header("Content-Type", "text/event-stream")
            handler.send_header("X-Accel-Buffering", "no")
            handler.send_header("Connection", "close")
            handler.end_headers()
            handler.wfile.write(b"data: 1\n\n")
            assert first_was_read.wait(PATIENCE)
            handler.wfile.write(b"data: 2\n\n")
            handler.close_connection = True

        backend.respond = stream
        connection = nginx.connect()
        connection.request("GET", "/api/events", headers={"Accept-Encoding": "gzip"})
        response = connection.getresponse()
        assert response.read(9) == b"data: 1\n\n"
        first_was_read.set()
        assert response.read() == b"data: 2\n\n"
        connection.close()


class TestRequestId:
    @pytest.mark.parametrize("given", ("a", "A.b_c-9", "x" * 64))
    def test_is_taken_over(self, nginx: Nginx, backend: Backend, given: str) -> None:
        backend.respond = lambda handler: send(handler, 200, b"{}", X_Request_ID=handler.headers["X-Request-ID"])
        reply = nginx.get("/api/todos/", X_Request_ID=given)
        assert reply.headers.get_all("X-Request-ID") == [given]
        assert backend.seen[0].headers.get_all("X-Request-ID") == [given]

    @pytest.mark.parametrize("given", (None, "", "x" * 65, "a b", 'a"b', "ü", "a\tb"))
    def test_is_made_where_none_is_sane(self, nginx: Nginx, backend: Backend, given: str | None) -> None:
        reply = nginx.get("/api/todos/", **({} if given is None else {"X_Request_ID": given}))
        (request_id,) = reply.headers.get_all("X-Request-ID") or []
        assert re.fullmatch("[0-9a-f]{32}", request_id)
        assert backend.seen[0].headers.get_all("X-Request-ID") == [request_id]


class TestRedirects:
    def test_lead_from_the_bare_prefix_to_the_api(self, nginx: Nginx) -> None:
        reply = nginx.ask("POST", "/api?a=1", b"{}")
        assert (reply.status, reply.headers["Location"]) == (308, "/api/?a=1")

    @pytest.mark.parametrize(
        ("location", "expected"),
        (
            ("http://todo.example/todos/?skip=1", "/api/todos/?skip=1"),
            ("http://todo.example/api/todos/", "/api/todos/"),
            ("/todos/", "/api/todos/"),
            ("/api/docs", "/api/docs"),
            ("https://todo.example:8000/", "/api/"),
        ),
    )
    def test_of_the_backend_become_paths(self, nginx: Nginx, backend: Backend, location: str, expected: str) -> None:
        backend.respond = lambda handler: send(handler, 307, b"", Location=location)
        assert nginx.get("/api/todos").headers.get_all("Location") == [expected]


def assert_unreachable(reply: Reply) -> None:
    assert reply.status == 503
    assert reply.json() == {"detail": "The backend is not reachable, or has too much to do; try again in a moment."}
    assert reply.headers.get_all("Retry-After") == ["2"]
    assert_security_headers(reply)


class TestBackendDown:
    @pytest.mark.parametrize("method", ("GET", "POST", "PUT", "DELETE"))
    def test_refused(self, method: str) -> None:
        with reserved_port() as port, running_nginx(port) as nginx:
            # More than once: nginx must not shut the address out.
            for _ in range(3):
                assert_unreachable(nginx.ask(method, "/api/todos/", b"{}"))

    def test_recovers_at_once(self) -> None:
        with reserved_port() as port, running_nginx(port) as nginx:
            for _ in range(5):
                assert_unreachable(nginx.get("/api/todos/"))
            with socket.create_server(("127.0.0.1", port)) as server:
                answers = threading.Thread(target=answer_once, args=(server,))
                answers.start()
                assert nginx.get("/api/todos/").status == 200
                answers.join()

    def test_packets_vanish(self) -> None:
        with full_listener() as (server, _), running_nginx(server.getsockname()[1]) as nginx:
            assert_unreachable(nginx.get("/api/todos/"))
            assert_unreachable(nginx.ask("POST", "/api/todos/", b"{}"))
            assert "timed out) while connecting to upstream" in nginx.errors()

    def test_one_packet_vanishes(self) -> None:
        seconds = SENT_AGAIN
        # On a busy machine there may be no room in time, and two packets vanish.
        while seconds >= SENT_AGAIN:
            reply, seconds = ask_without_room()
        assert reply.status == 200

    @pytest.mark.parametrize("method", ("POST", "GET"))
    def test_hangs_up(self, nginx: Nginx, backend: Backend, method: str) -> None:
        backend.respond = hang_up
        assert_unreachable(nginx.ask(method, "/api/todos/", b"{}"))

    def test_never_sends_a_post_twice(self, backend: Backend) -> None:
        with running_nginx(backend.server_port, {"worker_processes 2;": "worker_processes 1;"}) as nginx:
            assert nginx.ask("POST", "/api/todos/", b"{}").status == 200
            # On the connection kept from before: here nginx would try again, if it were a GET.
            backend.respond = hang_up
            assert_unreachable(nginx.ask("POST", "/api/todos/", b"{}"))
        assert len(backend.seen) == 2

    def test_never_answers(self, backend: Backend) -> None:
        finished = threading.Event()

        def wait(handler: LoopbackHandler) -> None:
            finished.wait(PATIENCE)
            hang_up(handler)

        backend.respond = wait
        changes = {"proxy_read_timeout 15s;": "proxy_read_timeout 200ms;"}
        with running_nginx(backend.server_port, changes) as nginx:
            assert_unreachable(nginx.get("/api/todos/"))
            finished.set()

    def test_a_slow_answer_is_waited_for(self, backend: Backend) -> None:
        def answer_late(handler: LoopbackHandler) -> None:
            # Longer than the timeouts for a connection and for another try.
            threading.Event().wait(0.5)
            send(handler, 200, b'{"slow":true}')

        backend.respond = answer_late
        changes = {f"proxy_{name}_timeout 2s;": f"proxy_{name}_timeout 200ms;" for name in ("connect", "next_upstream")}
        with running_nginx(backend.server_port, changes) as nginx:
            assert nginx.get("/api/todos/").json() == {"slow": True}
        assert "proxy_read_timeout 15s;" in (FRONTEND / "nginx.conf").read_text()

    def test_its_own_503_stands(self, nginx: Nginx, backend: Backend) -> None:
        backend.respond = lambda handler: send(handler, 503, b'{"detail":"no database"}', Retry_After="7")
        reply = nginx.get("/api/todos/")
        assert (reply.status, reply.json()) == (503, {"detail": "no database"})
        assert reply.headers.get_all("Retry-After") == ["7"]

    def test_the_page_is_still_served(self) -> None:
        with reserved_port() as port, running_nginx(port) as nginx:
            assert nginx.get("/").status == 200
            assert nginx.get("/healthz").status == 200


@contextmanager
def full_listener() -> Iterator[tuple[socket.socket, ExitStack]]:
    """Return a listener whose queue is full, so that it drops what arrives, and what makes room when it is closed."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, ExitStack() as fillers:
        for _ in range(4):
            filler = fillers.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(server.getsockname())
        yield server, fillers


def ask_without_room() -> tuple[Reply, float]:
    """Ask when the backend drops the first packet; return the answer, and after how many seconds there was room."""
    with full_listener() as (server, fillers), ExitStack() as stack:
        server.settimeout(0.1)
        port = server.getsockname()[1]
        without_room = count_connecting(port)
        nginx = stack.enter_context(running_nginx(port))
        began, seconds = time.monotonic(), math.inf
        reply = stack.enter_context(ThreadPoolExecutor(1)).submit(nginx.get, "/api/todos/")
        while count_connecting(port) <= without_room and not reply.done():
            pass
        fillers.close()
        while not reply.done():
            with suppress(TimeoutError):
                answer_once(server)
                seconds = min(seconds, time.monotonic() - began)
        return reply.result(), seconds


def answer_once(server: socket.socket) -> bool:
    """Accept a connection; answer the request that comes on it, or tell that none did."""
    connection, _ = server.accept()
    with connection:
        if not connection.recv(65536):
            return False
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        return True


def count_connecting(port: int) -> int:
    """Return how many connections to a loopback port have not been accepted by the other side yet."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    return sum(row[2].endswith(f":{port:04X}") and row[3] == SYN_SENT for row in rows)


class TestBodySize:
    def test_the_limit_is_allowed(self, nginx: Nginx, backend: Backend) -> None:
        assert nginx.ask("POST", "/api/todos/", b"x" * 64 * 1024).status == 200
        assert len(backend.seen[0].body) == 64 * 1024

    def test_more_is_refused_in_json(self, nginx: Nginx, backend: Backend) -> None:
        reply = nginx.ask("POST", "/api/todos/", b"x" * (64 * 1024 + 1))
        assert reply.status == 413
        assert reply.json() == {"detail": "The request is larger than 64 KiB."}
        assert backend.seen == []

    def test_chunks_are_counted(self, nginx: Nginx, backend: Backend) -> None:
        chunk = b"8001\r\n" + b"x" * 0x8001 + b"\r\n"
        head = b"POST /api/todos/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        reply = nginx.send_raw(head + chunk + chunk)
        assert reply.status == 413
        assert reply.json() == {"detail": "The request is larger than 64 KiB."}
        assert backend.seen == []


class TestLimits:
    def test_more_writes_than_a_person_makes_are_refused(self, backend: Backend) -> None:
        # A rate at which none comes back while the test runs.
        with running_nginx(backend.server_port, {"rate=100r/s": "rate=1r/m", "burst=100": "burst=3"}) as nginx:
            replies = [nginx.ask("POST", "/api/todos/") for _ in range(5)]
            reads = [nginx.get("/api/todos/").status for _ in range(10)]
        assert [reply.status for reply in replies] == [200, 200, 200, 200, 429]
        assert replies[-1].json() == {"detail": "Too many writes; try again in a moment."}
        assert replies[-1].headers["Retry-After"] == "1"
        assert_security_headers(replies[-1])
        assert reads == [200] * 10

    @pytest.mark.parametrize(
        ("limit", "begun"),
        (
            ("client_header_timeout", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "),
            ("client_body_timeout", b"POST /api/todos/ HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"),
        ),
        ids=("header", "body"),
    )
    def test_client_that_trickles_is_hung_up_on(self, backend: Backend, limit: str, begun: bytes) -> None:
        with (
            running_nginx(backend.server_port, {f"{limit} 10s;": f"{limit} 1s;"}) as nginx,
            socket.create_connection(("127.0.0.1", nginx.port), PATIENCE) as client,
        ):
            client.sendall(begun)
            while client.recv(65536):
                pass
        assert backend.seen == []

    @pytest.mark.parametrize(
        "request_text",
        (
            b"POST /api/ HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /api/hidden",
            b"POST /api/ HTTP/1.1\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
            b"POST /api/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
            b"POST /api/ HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
            b"POST /api/ HTTP/1.1\r\nTransfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
            b"POST /api/ HTTP/1.1\r\nContent-Length: +5\r\n\r\nabcde",
            b"GET /api/ HTTP/1.1\r\nHost: y\r\n\r\n",
        ),
        ids=("both lengths", "two lengths", "two encodings", "unknown encoding", "space", "sign", "two hosts"),
    )
    def test_request_that_two_servers_may_read_differently_is_refused(
        self, nginx: Nginx, backend: Backend, request_text: bytes
    ) -> None:
        with_host = request_text.replace(b" HTTP/1.1\r\n", b" HTTP/1.1\r\nHost: x\r\n")
        assert nginx.send_raw(with_host).status in {400, 501}
        assert backend.seen == []

    @pytest.mark.parametrize("name", ("Transfer_Encoding", "Content_Length", "X-Request-ID\x00"))
    def test_header_of_an_unusual_name_goes_no_further(self, nginx: Nginx, backend: Backend, name: str) -> None:
        nginx.send_raw(f"GET /api/ HTTP/1.1\r\nHost: x\r\n{name}: chunked\r\nConnection: close\r\n\r\n".encode())
        assert not [seen for seen in backend.seen if name in seen.headers]


class TestLog:
    def test_is_json_and_leaves_out_probes(self, backend: Backend) -> None:
        with running_nginx(backend.server_port) as nginx:
            nginx.get("/healthz")
            nginx.get("/")
            nginx.get('/api/todos/?q="\\x', X_Request_ID="mine")
            nginx.send_raw(b"nonsense\r\n\r\n")
            nginx.process.terminate()
            assert nginx.process.wait(PATIENCE) == 0
            # Each of nginx's processes writes its own, when it gets to it.
            order = ("/", '/api/todos/?q="\\x', "")
            page, api, malformed = sorted(nginx.logged(), key=lambda entry: order.index(entry["path"]))
        assert (page["method"], page["path"], page["status"], page["upstream"]) == ("GET", "/", 200, "")
        assert (api["path"], api["request_id"], api["upstream_status"]) == ('/api/todos/?q="\\x', "mine", "200")
        assert api["upstream"] == f"127.0.0.1:{backend.server_port}"
        assert isinstance(api["duration_s"], float)
        assert malformed["status"] == 400

    def test_errors_go_to_stderr(self) -> None:
        with reserved_port() as port, running_nginx(port) as nginx:
            nginx.get("/api/todos/")
            assert "Connection refused) while connecting to upstream" in nginx.errors()


class TestProcess:
    def test_writes_no_bodies_to_disk(self, backend: Backend) -> None:
        backend.respond = lambda handler: send(handler, 200, b"x" * 4_000_000)
        # At this level nginx tells of each body that it buffers in a file.
        with running_nginx(backend.server_port, {"error_log stderr;": "error_log stderr warn;"}) as nginx:
            connection = nginx.connect()
            connection.sock = socket.socket()
            # A slow reader, so that the answer piles up in nginx.
            connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sock.connect(("127.0.0.1", nginx.port))
            connection.request("POST", "/api/todos/", b"x" * 64 * 1024)
            assert len(connection.getresponse().read()) == 4_000_000
            connection.close()
            files = {str(path.relative_to(nginx.folder)) for path in nginx.folder.rglob("*") if path.is_file()}
            assert nginx.errors() == ""
        assert files == {
            "access.log",
            "nginx",
            "nginx.conf",
            "nginx.pid",
            "stderr",
            *(f"html/{name}" for name in SERVED),
        }

    def test_tells_an_old_connection_to_end_before_it_closes_it(self, backend: Backend) -> None:
        with running_nginx(backend.server_port, {"keepalive_time 3s;": "keepalive_time 100ms;"}) as nginx:
            connection = nginx.connect()
            said = ["keep-alive"]
            deadline = time.monotonic() + PATIENCE
            while said[-1] == "keep-alive" and time.monotonic() < deadline:
                connection.request("GET", "/healthz")
                with connection.getresponse() as response:
                    response.read()
                    said.append(response.headers["Connection"])
            connection.close()
        # More than one request, and then the answer says it.
        assert (said[1], said[-1]) == ("keep-alive", "close")

    def test_lets_requests_finish_when_told_to_quit(self, backend: Backend) -> None:
        arrived, finish = threading.Event(), threading.Event()

        def answer_when_told(handler: LoopbackHandler) -> None:
            arrived.set()
            assert finish.wait(PATIENCE)
            send(handler, 200, b"{}")

        backend.respond = answer_when_told
        with running_nginx(backend.server_port) as nginx:
            connection = nginx.connect()
            connection.request("GET", "/api/todos/")
            assert arrived.wait(PATIENCE)
            nginx.process.send_signal(signal.SIGQUIT)
            while not refuses_connections(nginx.port):
                pass
            finish.set()
            assert connection.getresponse().status == 200
            connection.close()
            assert nginx.process.wait(PATIENCE) == 0
