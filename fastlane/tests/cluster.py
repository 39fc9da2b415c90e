"""A cluster without Kubernetes: an API that lists and watches pods, and pods that take files."""

import base64
import contextlib
import json
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from warmfork.control import contents
from warmfork.control.contents import Digest
from warmfork.control.stream import PROTOCOL

# Seconds after which a condition that is awaited counts as not met.
PATIENCE = 30
SELECTOR = "app.kubernetes.io/component=backend"
KUBECTL = Path(__file__).with_name("kubectl.py")

# What a pod begins with, as the checkout does.
IMAGE = {"/app/app/main.py": "version = 1\n"}

Message = dict[str, Any]


def until(condition: Callable[[], object], what: str, evidence: object = None) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what}: {evidence}"
        time.sleep(0.005)


def save(path: Path) -> bool:
    """Write what was not there before, for conditions that are awaited."""
    return path.write_text(f"version = {time.monotonic_ns()}\n") > 0


class Server(socketserver.ThreadingUnixStreamServer):
    """Serves a Unix socket, each connection in a thread."""

    daemon_threads = True

    def __init__(self, path: Path, serve: Callable[[socketserver.StreamRequestHandler], None]) -> None:
        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                # The other side may hang up at any time.
                with contextlib.suppress(OSError):
                    serve(self)

        super().__init__(str(path), Handler)
        self.path = path
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def end(self) -> None:
        self.shutdown()
        self.server_close()
        self.path.unlink()


def obey(request: Message) -> Message:
    """Answer as warmfork does when all is well."""
    if request["op"] == "hello":
        return {"ok": True, "protocol": PROTOCOL, "roots": ["/app/app"], "generation": 1}
    return outcome(request, "reloaded")


def outcome(request: Message, word: str, error: str | None = None) -> Message:
    return {"id": request["id"], "ok": True, "outcome": word, "milliseconds": 1.0, "error": error, "written": 1}


def digest(content: str) -> Digest | None:
    return contents.digest(content.encode())


class Pod:
    """One replica. It remembers what it was told, and keeps the files that it was sent beside those of its image."""

    def __init__(self, path: Path, files: Mapping[str, str]) -> None:
        self.name = path.name
        self.answer: Callable[[Message], Message | bytes | None] = obey
        self.greetings: list[Message] = []
        self.batches: list[list[Message]] = []
        self.files = dict(files)
        # Answers of its own to questions for digests.
        self.pages: list[Message] = []
        self.comparisons = 0
        self._connections: set[socket.socket] = set()
        self._server = Server(path, self._serve)

    def hang_up(self) -> None:
        """End all streams to the pod."""
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def tell(self, event: Message) -> None:
        """Say something unasked on all streams."""
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.sendall(json.dumps(event).encode() + b"\n")

    def await_comparison(self) -> None:
        """Return when all its files have been compared: what is sent before that may be sent twice."""
        until(lambda: self.comparisons, "it is asked for all its files")
        before = self.comparisons
        # The next question comes when the answer to the last one has been looked at.
        self.tell({"event": "digests", "files": {}, "stale": ["/app/app/nothing"]})
        until(lambda: self.comparisons > before, "it is asked for a folder of its own")

    def end(self) -> None:
        self._server.end()
        self.hang_up()

    def _serve(self, connection: socketserver.StreamRequestHandler) -> None:
        self._connections.add(connection.request)
        for line in connection.rfile:
            request = json.loads(line)
            if request["op"] == "digests":
                connection.wfile.write(json.dumps(self._page(request)).encode() + b"\n")
                continue
            self._take(request)
            answer = self.answer(request)
            if answer is not None:
                connection.wfile.write(answer if isinstance(answer, bytes) else json.dumps(answer).encode() + b"\n")

    def _page(self, request: Message) -> Message:
        self.comparisons += 1
        files = {name: digest(text) for name, text in self.files.items() if name.startswith(f"{request['below']}/")}
        page = self.pages.pop(0) if self.pages else {"files": files, "more": False}
        return {"id": request["id"], "ok": True, **page}

    def _take(self, request: Message) -> None:
        if request["op"] == "hello":
            self.greetings.append(request)
            return
        for change in request["changes"]:
            if "deleted" in change:
                self.files.pop(change["path"], None)
            elif "link" in change:
                self.files[change["path"]] = f"-> {change['link']}"
            else:
                self.files[change["path"]] = base64.b64decode(change["content"]).decode()
        self.batches.append(request["changes"])


class Cluster:
    """Pods that come and go, and a kubectl that knows of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir()
        (self.bin / "cluster").write_text(str(folder))
        self.replace_kubectl(KUBECTL.read_text())
        self.listings = 0
        self._pods: dict[str, Pod] = {}
        self._items: dict[str, Message] = {}
        # A resource version is a number of events.
        self._events: list[Message] = []
        self._news = threading.Condition()
        self._watching: set[object] = set()
        self._api = Server(folder / "api", self._serve)

    def replace_kubectl(self, script: str) -> None:
        program = self.bin / "kubectl.new"
        # Isolated and without site-packages, for it is started often.
        program.write_text(f"#!{sys.executable} -IS\n{script}")
        program.chmod(0o755)
        program.rename(self.bin / "kubectl")

    def add(self, name: str, files: Mapping[str, str] = IMAGE) -> Pod:
        """Let a pod come and run."""
        pod = self._pods[name] = Pod(self.folder / name, files)
        self.announce(name)
        return pod

    def announce(self, name: str, *, container: str = "containerd://1", ending: bool = False) -> None:
        """Tell what is now known of a pod."""
        status = {"name": "backend", "containerID": container, "state": {"running": {}}}
        item = {
            "metadata": {"name": name, **({"deletionTimestamp": "2026-11-23T08:00:00Z"} if ending else {})},
            "status": {"containerStatuses": [status]},
        }
        with self._news:
            kind = "MODIFIED" if name in self._items else "ADDED"
            self._items[name] = item
            self._events.append({"type": kind, "object": item})
            self._news.notify_all()

    def remove(self, name: str) -> None:
        """Let a pod disappear; its streams are left to the other side to close."""
        with self._news:
            self._events.append({"type": "DELETED", "object": self._items.pop(name)})
            self._news.notify_all()

    def end_watch(self) -> None:
        """Hang up, as a real API server does after a while."""
        until(lambda: self._watching, "somebody watches")
        self._end_watches()

    def stop_api(self) -> None:
        """Refuse and end all connections."""
        self._api.end()
        self._end_watches()

    def start_api(self) -> None:
        self._api = Server(self.folder / "api", self._serve)

    def end(self) -> None:
        self.stop_api()
        for pod in self._pods.values():
            pod.end()

    def _serve(self, connection: socketserver.StreamRequestHandler) -> None:
        url = urlsplit(connection.rfile.readline().decode().strip())
        query = parse_qs(url.query)
        assert url.path == "/api/v1/namespaces/todo/pods"
        assert query["labelSelector"] == [SELECTOR]
        if "watch" in query:
            self._tell(connection, int(query["resourceVersion"][0]))
            return
        with self._news:
            listing = {"metadata": {"resourceVersion": str(len(self._events))}, "items": [*self._items.values()]}
            self.listings += 1
        connection.wfile.write(json.dumps(listing).encode())

    def _tell(self, connection: socketserver.StreamRequestHandler, position: int) -> None:
        watch = object()
        self._watching.add(watch)
        while watch in self._watching:
            with self._news:
                events = self._events[position:]
                if not events:
                    self._news.wait(1)
            position += len(events)
            for event in events:
                connection.wfile.write(json.dumps(event).encode() + b"\n")

    def _end_watches(self) -> None:
        with self._news:
            self._watching.clear()
            self._news.notify_all()
