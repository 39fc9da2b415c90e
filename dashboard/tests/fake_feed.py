"""A stand-in for the dashboard: the page under its policy, the events that a test wants, the actions asked for."""

import json
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from frontend.tests.loopback import LoopbackHandler, LoopbackServer

PAGE = Path(__file__).parent.parent / "page"
TOKEN = "token-of-the-test"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; manifest-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
CONTENT_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
LINES_PER_EVENT = 2_000
# Seconds until a sign of life.
SILENCE = 5
# Milliseconds since 1970, in the morning of a day that does not matter.
MORNING = 1_764_061_200_000.0
type Object = dict[str, Any]


def make_resource(name: str, **changes: object) -> Object:
    """Make a resource that is ready, with one pod."""
    resource: Object = {
        "name": name,
        "group": "app",
        "status": "ok",
        "update": {"status": "ok", "text": "synced 12:03:04, 35 ms", "error": None},
        "runtime": {"status": "ok", "text": "1 of 1 pods ready"},
        "reason": None,
        "detail": [],
        "links": [],
        "canTrigger": True,
        "canDisable": True,
        "enabled": True,
        "pods": [make_pod(f"{name}-6c9f7d5b84-x2x7q")],
        "buttons": [],
    }
    return resource | changes


def make_pod(name: str, **changes: object) -> Object:
    """Make a pod that is ready."""
    pod: Object = {
        "name": name,
        "status": "Running",
        "ready": True,
        "restarts": 0,
        "created": MORNING,
        "code": "9f86d081884c",
        "reason": None,
    }
    return pod | changes


def make_state(*resources: Object, **changes: object) -> Object:
    """Make the state of a Tilt that runs these resources."""
    state: Object = {
        "tilt": {
            "connected": True,
            "error": None,
            "url": "http://localhost:10350",
            "hasPage": True,
            "version": "v0.37.7",
        },
        "page": "http://localhost:8080",
        "project": "todo",
        "overall": {"status": "ok", "text": f"All {len(resources)} resources are ready"},
        "resources": list(resources),
        "buttons": [],
    }
    return state | changes


def make_save(identifier: int, **changes: object) -> Object:
    """Make a save that the fast lane has brought to both replicas."""
    save: Object = {
        "id": identifier,
        "time": MORNING + identifier * 60_000,
        "files": ["backend/app/main.py"],
        "resource": "backend",
        "action": "fast lane",
        "why": "",
        "unexpected": False,
        "status": "served",
        "error": None,
        "detect": 8.0,
        "copy": 21.0,
        "reload": 48.0,
        "served": 92.0,
        "replicas": 2,
        "requests": 14,
        "failed": 0,
    }
    return save | changes


def make_today(**changes: object) -> Object:
    """Make the figures of a day."""
    return {"count": 31, "p50": 92.0, "p95": 140.0, "requests": 5210, "failed": 0, "rebuilds": 1} | changes


@dataclass
class FakeFeed:
    """What the dashboard knows and is asked. Changes reach each connected page at once."""

    url: str = ""
    epoch: str = "aaaa0001"
    lines: list[Object] = field(default_factory=list)
    # The oldest line that is still kept.
    first: int = 1
    state: Object = field(default_factory=lambda: make_state(make_resource("backend"), make_resource("frontend")))
    saves: dict[int, Object] = field(default_factory=dict)
    today: Object = field(default_factory=make_today)
    actions: list[tuple[str | None, Object]] = field(default_factory=list)
    # What actions are answered with instead of success.
    refusal: str | None = None
    # Where each connection has asked to begin, None where it has not.
    asked: list[str | None] = field(default_factory=list)
    # Sends all lines on each connection, wherever it has asked to begin.
    repeats: bool = False
    is_down: bool = False
    _changed: threading.Condition = field(default_factory=threading.Condition)
    # Connections of an earlier generation end.
    _generation: int = 0
    # Of the state, and of the saves.
    _versions: tuple[int, int] = (0, 0)

    def log(self, text: str, **changes: object) -> int:
        """Send a line, and return its id."""
        self.log_all([{"text": text} | changes])
        return int(self.lines[-1]["id"])

    def log_all(self, lines: Iterable[Object]) -> None:
        """Send lines, each given by its text and what is unusual about it."""
        with self._changed:
            for changes in lines:
                identifier = len(self.lines) + 1
                line: Object = {
                    "id": identifier,
                    "time": MORNING + identifier,
                    "resource": "backend",
                    "source": "runtime",
                    "level": "info",
                    "pod": "backend-6c9f7d5b84-x2x7q",
                    "head": None,
                }
                self.lines.append(line | changes)
            self._changed.notify_all()

    def log_traceback(self, error: str = "ValueError: x", frames: int = 6, **changes: object) -> int:
        """Send a traceback, and return the id of its first line."""
        head = self.log("Traceback (most recent call last):", level="error", **changes)
        middle = [f'  File "main.py", line {number}' for number in range(frames)]
        self.log_all({"text": text, "level": "error", "head": head} | changes for text in [*middle, error])
        return head

    def show(self, state: Object) -> None:
        """Send another state."""
        with self._changed:
            self.state = state
            self._versions = (self._versions[0] + 1, self._versions[1])
            self._changed.notify_all()

    def save(self, *saves: Object, **today: object) -> None:
        """Send new or changed saves, and figures of today."""
        with self._changed:
            self.saves.update({save["id"]: save for save in saves})
            self.today |= today
            self._versions = (self._versions[0], self._versions[1] + 1)
            self._changed.notify_all()

    def cut(self) -> None:
        """End all connections."""
        with self._changed:
            self._generation += 1
            self._changed.notify_all()

    def go_down(self) -> None:
        """End all connections, and refuse new ones until `come_up`."""
        self.is_down = True
        self.cut()

    def come_up(self) -> None:
        self.is_down = False

    def restart(self, epoch: str) -> None:
        """Become another process, which knows nothing of the first one's lines and saves."""
        self.lines, self.saves, self.epoch = [], {}, epoch
        self.cut()

    def serve(self, after: str | None, send: "Send") -> None:
        """Send events to one page until its connection is to end."""
        self.asked.append(after)
        epoch, _, last = (after or "").partition("-")
        place = int(last) if epoch == self.epoch and not self.repeats else 0
        generation, shown = self._generation, (-1, -1)
        send("hello", {"epoch": self.epoch, "first": self.first})
        while True:
            with self._changed:
                if not self._has_news(generation, place, shown):
                    self._changed.wait(SILENCE)
                if generation != self._generation:
                    return
                place = max(place, self.first - 1)
                lines = self.lines[place : place + LINES_PER_EVENT]
                before, shown = shown, self._versions
                state, saves = self.state, {"saves": list(self.saves.values()), "today": self.today}
            if lines:
                place += len(lines)
                send("lines", lines, f"{self.epoch}-{place}")
            elif before == shown:
                send("ping", {})
            if before[1] != shown[1]:
                send("saves", saves)
            # Last, so that a page which shows it has been told all the rest.
            if before[0] != shown[0]:
                send("state", state)

    def _has_news(self, generation: int, place: int, shown: tuple[int, int]) -> bool:
        return generation != self._generation or place < len(self.lines) or shown != self._versions


class Send:
    """Sends an event of a stream."""

    def __init__(self, handler: BaseHTTPRequestHandler) -> None:
        self._handler = handler

    def __call__(self, event: str, data: object, identifier: str | None = None) -> None:
        head = f"id: {identifier}\n" if identifier else ""
        self._handler.wfile.write(f"{head}event: {event}\ndata: {json.dumps(data)}\n\n".encode())


class Handler(LoopbackHandler):
    """Serves the page, the events and the actions of `feed`."""

    feed: ClassVar[FakeFeed]

    def give(self) -> None:
        address = urlsplit(self.path)
        if address.path == "/api/events":
            self._serve_events(parse_qs(address.query).get("after", [self.headers.get("Last-Event-ID")])[0])
            return
        file = PAGE / (address.path.strip("/") or "index.html")
        if file.suffix in CONTENT_TYPES and file.is_file():
            content = file.read_bytes().replace(b"{{token}}", TOKEN.encode())
            self._send(200, CONTENT_TYPES[file.suffix], content)
        else:
            self._send(404, "text/plain", b"Not found")

    def act(self) -> None:
        self.feed.actions.append((self.headers.get("X-Token"), json.loads(self.read_body())))
        refusal = self.feed.refusal
        answer = {"error": refusal} if refusal else {"ok": True}
        self._send(409 if refusal else 200, "application/json", json.dumps(answer).encode())

    do_GET, do_POST = give, act  # noqa: N815 (the base class looks for these)

    def _serve_events(self, after: str | None) -> None:
        self.close_connection = True
        if self.feed.is_down:
            self._send(503, "text/plain", b"Down")
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        self.end_headers()
        self.feed.serve(after, Send(self))

    def _send(self, status: int, content_type: str, payload: bytes) -> None:
        self.send(status, f"{content_type}; charset=utf-8", payload, {"Content-Security-Policy": POLICY})


class FakeDashboard(LoopbackServer):
    """A FakeFeed and the page."""

    def __init__(self) -> None:
        self.feed = FakeFeed()
        super().__init__(type("BoundHandler", (Handler,), {"feed": self.feed}))
        self.feed.url = self.url

    def __exit__(self, *exception: object) -> None:
        self.feed.go_down()
        super().__exit__(*exception)
