"""A stand-in for nginx and the backend: the page's files with nginx.conf's policy, and an API that fails on command."""

import json
import re
import threading
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from frontend.tests.loopback import LoopbackHandler, LoopbackServer

FRONTEND = Path(__file__).parent.parent
TITLE_LIMIT = 200
CONTENT_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
# A request's JSON object, empty where there was none.
type Body = dict[str, Any]
UNREACHABLE = "The backend is not reachable, or has too much to do; try again in a moment."


def content_security_policy() -> str:
    """Read the policy from nginx.conf, so that the page is tested under the one it is served with."""
    match = re.search(r'add_header Content-Security-Policy "([^"]+)" always;', (FRONTEND / "nginx.conf").read_text())
    assert match, "nginx.conf sets no Content-Security-Policy"
    return match[1]


@dataclass(frozen=True)
class Answer:
    """A status with a JSON body, or with `raw` instead. Status 0 closes the connection without an answer."""

    status: int
    body: Any = None
    raw: bytes | None = None

    def payload(self) -> bytes:
        return json.dumps(self.body).encode() if self.raw is None else self.raw


@dataclass
class FakeApi:
    """The todo API in memory. `fail` makes coming requests to /api/todos/ fail; `hold` lets them wait for `release`."""

    url: str = ""
    todos: dict[int, Body] = field(default_factory=dict)
    requests: list[tuple[str, str, Body]] = field(default_factory=list)
    version: Answer = field(
        default_factory=lambda: Answer(
            200, {"build": "dev", "commit": "dev", "pod": "backend-6c9f7d5b84-x2x7q", "code": "3f9c1a27d0e4"}
        )
    )
    _failures: deque[Answer] = field(default_factory=deque)
    _down: Answer | None = None
    _gate: threading.Event = field(default_factory=threading.Event)
    _last_id: int = 0

    def __post_init__(self) -> None:
        self._gate.set()

    def fail(self, *answers: Answer) -> None:
        """Give `answers` to the next requests, one each."""
        self._failures.extend(answers)

    def go_down(self, answer: Answer | None = None) -> None:
        """Fail all requests as nginx does without a backend, or with `answer`, until `come_up`."""
        self._down = answer or Answer(503, {"detail": UNREACHABLE})

    def come_up(self) -> None:
        self._down = None

    def hold(self) -> None:
        self._gate.clear()

    def release(self) -> None:
        self._gate.set()

    def add(self, title: str, description: str | None = None, *, completed: bool = False) -> Body:
        self._last_id += 1
        todo = {"id": self._last_id, "title": title, "description": description, "completed": completed}
        self.todos[self._last_id] = todo
        return todo

    def sent(self, method: str) -> list[Body]:
        """Return the bodies of all requests with `method`, oldest first."""
        return [body for sent_method, _, body in self.requests if sent_method == method]

    def answer(self, method: str, target: str, body: Body) -> Answer:
        path = urlsplit(target).path
        if path == "/api/version":
            return self._down or self.version
        self.requests.append((method, target, body))
        assert self._gate.wait(timeout=30), "a held request was never released"
        if self._failures:
            return self._failures.popleft()
        return self._down or self._answer_todos(method, path, parse_qs(urlsplit(target).query), body)

    def _answer_todos(self, method: str, path: str, query: dict[str, list[str]], body: Body) -> Answer:
        if method == "GET":
            skip, limit = int(query["skip"][0]), int(query["limit"][0])
            return Answer(200, list(self.todos.values())[skip : skip + limit])
        if method in {"POST", "PUT"} and len(body.get("title", "")) > TITLE_LIMIT:
            return Answer(422, invalid("title", f"String should have at most {TITLE_LIMIT} characters"))
        if method == "POST":
            return Answer(200, self.add(body["title"].strip(), body.get("description")))
        todo = self.todos.get(int(path.rpartition("/")[2]))
        if todo is None:
            return Answer(404, {"detail": "Todo not found"})
        if method == "PUT":
            todo.update(body)
        else:
            del self.todos[todo["id"]]
        return Answer(200, todo)


def invalid(name: str, message: str) -> Body:
    """Make the body of a 422 answer about the field `name`."""
    return {"detail": [{"type": "invalid", "loc": ["body", name], "msg": message, "input": None}]}


class Handler(LoopbackHandler):
    """Serves files on / and `api` on /api/."""

    api: ClassVar[FakeApi]
    policy: ClassVar[str]

    def respond(self) -> None:
        body = self.read_body()
        if self.path.startswith("/api/"):
            answer = self.api.answer(self.command, self.path, json.loads(body) if body else {})
            self._send(answer.status, "application/json", answer.payload())
            return
        file = FRONTEND / (self.path.strip("/") or "index.html")
        if file.suffix in CONTENT_TYPES and file.is_file():
            self._send(200, CONTENT_TYPES[file.suffix], file.read_bytes())
        else:
            self._send(404, "text/html", (FRONTEND / "404.html").read_bytes())

    do_GET = do_POST = do_PUT = do_DELETE = respond  # noqa: N815 (the base class looks for these)

    def _send(self, status: int, content_type: str, payload: bytes) -> None:
        if status == 0:
            self.close_connection = True
            return
        self.send(status, f"{content_type}; charset=utf-8", payload, {"Content-Security-Policy": self.policy})


class FakeServer(LoopbackServer):
    """A FakeApi and the page."""

    def __init__(self) -> None:
        self.api = FakeApi()
        super().__init__(type("BoundHandler", (Handler,), {"api": self.api, "policy": content_security_policy()}))
        self.api.url = self.url

    def __exit__(self, *exception: object) -> None:
        self.api.release()
        super().__exit__(*exception)
