"""A small stand-in for the deployed application, which can be told to misbehave."""

import itertools
import json
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

PAGE = '<link rel="stylesheet" href="style.css"><script src="/app.js"></script><img src="data:image/png;base64,">'
DOCUMENTATION = '<link href="./docs/ui.css" rel="stylesheet"><script src="docs/ui.js"></script>'
SECURITY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


@dataclass(frozen=True)
class Reply:
    """What the site answers; value is sent as JSON unless it is text."""

    status: int
    value: Any
    headers: tuple[tuple[str, str], ...] = ()


Fault = Callable[[str, str, Reply], Reply]


@dataclass
class Site:
    """The application's state and its answers. A fault may change each of them on its way out."""

    pods: tuple[tuple[str, str], ...] = (("backend-1", "c0de"), ("backend-2", "c0de"))
    fault: Fault = field(default=lambda _method, _path, reply: reply)
    todos: dict[int, dict[str, Any]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.numbers = itertools.count(1)
        self.turns = itertools.cycle(self.pods)

    def answer(self, method: str, target: str, body: bytes, request_id: str | None) -> Reply:
        """Return the answer to one request."""
        parts = urlsplit(target)
        with self.lock:
            found = self.api(method, parts.path, {key: int(one[0]) for key, one in parse_qs(parts.query).items()}, body)
        common = (*SECURITY.items(), ("X-Request-ID", request_id or str(uuid.uuid4())))
        return self.fault(method, parts.path, replace(found, headers=common))

    def api(self, method: str, path: str, query: dict[str, int], body: bytes) -> Reply:
        """Return what path holds, or 404."""
        fixed: dict[str, Any] = {
            "/": PAGE,
            "/style.css": "",
            "/app.js": "",
            "/api/docs": DOCUMENTATION,
            "/api/docs/ui.css": "",
            "/api/docs/ui.js": "",
            "/api/openapi.json": {"paths": {"/todos/": {}}},
        }
        if path in fixed:
            return Reply(200, fixed[path])
        if path == "/api/version":
            pod, code = next(self.turns)
            return Reply(200, {"pod": pod, "code": code})
        if path == "/api/todos/":
            return self.create(json.loads(body)) if method == "POST" else self.page(query)
        one = re.fullmatch(r"/api/todos/(\d+)", path)
        return self.one(method, int(one[1]), body) if one else Reply(404, "no such page")

    def create(self, wanted: dict[str, Any]) -> Reply:
        """Add a todo."""
        if not wanted["title"]:
            return Reply(422, {"detail": [{"loc": ["body", "title"], "msg": "too short"}]})
        todo = {"id": next(self.numbers), "description": None, "completed": False, **wanted}
        self.todos[todo["id"]] = todo
        return Reply(200, todo)

    def page(self, query: dict[str, int]) -> Reply:
        """List todos in order."""
        skip, limit = query.get("skip", 0), query.get("limit", 100)
        return Reply(200, [self.todos[key] for key in sorted(self.todos)][skip : skip + limit])

    def one(self, method: str, identifier: int, body: bytes) -> Reply:
        """Read, change or remove a todo."""
        if identifier not in self.todos:
            return Reply(404, {"detail": "Todo not found"})
        if method == "DELETE":
            return Reply(200, self.todos.pop(identifier))
        if method == "PUT":
            self.todos[identifier] = {**self.todos[identifier], **json.loads(body)}
        return Reply(200, self.todos[identifier])


@contextmanager
def served(site: Site) -> Iterator[str]:
    """Serve the site on a free port of 127.0.0.1 and give its address."""

    class Handler(BaseHTTPRequestHandler):
        def handle_request(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            reply = site.answer(self.command, self.path, body, self.headers.get("X-Request-ID"))
            content = (reply.value if isinstance(reply.value, str) else json.dumps(reply.value)).encode()
            self.send_response(reply.status)
            for name, value in (*reply.headers, ("Content-Length", str(len(content)))):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = handle_request  # noqa: N815 - the names that the base class calls

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's signature
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 64  # the check of replicas connects many times at once

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
