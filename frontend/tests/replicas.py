"""A development namespace on loopback: replicas of backend and frontend as on command, and the real browser-reload."""

import hashlib
import http.client
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Self

from frontend.tests.fake_api import FRONTEND, FakeApi
from frontend.tests.loopback import LoopbackHandler, LoopbackServer
from frontend.tests.nginx_process import PATIENCE, SERVED, Nginx, refuses_connections, reserved_port, running_nginx

type State = dict[str, Any]

CODE = "9f86d081884c"
NEWER_CODE = "60303ae22b99"
FAILURE: dict[str, Any] = {
    "files": ["app/main.py"],
    "error": "NameError: name 'x' is not defined",
    "traceback": "NameError: name 'x' is not defined\n  File \"/app/app/main.py\", line 3, in <module>\n    x\n",
}


class BackendPod(LoopbackServer):
    """One replica of the backend: the todo API, and warmfork's status. Without `code` it hangs up instead."""

    def __init__(self, api: FakeApi) -> None:
        self.api = api
        self.serve(CODE)
        self.watchers: set[int] = set()
        self.unwatched = threading.Event()
        super().__init__(BackendHandler)

    def serve(self, code: str) -> None:
        self.code: str | None = code
        self.failure: dict[str, Any] | None = None
        self.serving = True

    def status(self) -> bytes:
        status = {"generation": 1, "code": self.code, "serving": self.serving, "failure": self.failure}
        return json.dumps(status).encode()


class BackendHandler(LoopbackHandler):
    server: BackendPod

    def respond(self) -> None:
        body = self.read_body()
        if self.path == "/_warmfork":
            self.server.watchers.add(self.client_address[1])
            self.server.unwatched.clear()
            if self.server.code is None:
                self.close_connection = True
            else:
                self.send(200, "application/json", self.server.status())
        else:
            answer = self.server.api.answer(self.command, f"/api{self.path}", json.loads(body) if body else {})
            self.send(answer.status, "application/json", answer.payload())

    do_GET = do_POST = do_PUT = do_DELETE = respond  # noqa: N815 (the base class looks for these)

    def finish(self) -> None:
        super().finish()
        self.server.watchers.discard(self.client_address[1])
        if not self.server.watchers:
            self.server.unwatched.set()


class Service:
    """The process browser-reload, which can be stopped and started again."""

    def __init__(self, port: int, backends: list[int], frontends: list[int]) -> None:
        self.port = port
        addresses = [f"--backend=127.0.0.1:{one}" for one in backends]
        addresses += [f"--frontend=127.0.0.1:{one}" for one in frontends]
        self._command = [sys.executable, "-m", "browser_reload", f"--listen=127.0.0.1:{port}", *addresses]
        self._process: subprocess.Popen[str] | None = None
        self.log = ""

    def start(self) -> None:
        """Start, unless it runs."""
        if self._process and self._process.poll() is None:
            return
        self._process = subprocess.Popen(self._command, cwd=FRONTEND, stderr=subprocess.PIPE, text=True)
        while refuses_connections(self.port):
            assert self._process.poll() is None, f"browser-reload did not start: {self.stop()}"

    def stop(self) -> str:
        """End the process as Kubernetes does; return what it has written since its start."""
        assert self._process
        self._process.terminate()
        _, self.log = self._process.communicate(timeout=PATIENCE)
        return self.log

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process and self._process.poll() is None:
            self.stop()
        assert "Traceback" not in self.log, self.log


@dataclass
class Replicas:
    """Two replicas of everything. The browser's nginx is the first."""

    api: FakeApi
    backends: list[BackendPod]
    frontends: list[Nginx]
    service: Service
    opened: ExitStack

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.frontends[0].port}/"

    def serve(self, code: str) -> None:
        """Let all backends serve new code."""
        for backend in self.backends:
            backend.serve(code)

    def read(self, name: str) -> str:
        return (self.frontends[0].html / name).read_text()

    def files(self) -> dict[str, str]:
        """Return the digests of all files of the page as a browser gets them."""
        browsers = self.frontends[0]
        return {name: hashlib.sha256(browsers.get(f"/_dev/files/{name}").body).hexdigest() for name in SERVED}

    def save(self, name: str, text: str) -> None:
        """Replace a file in all frontends."""
        for frontend in self.frontends:
            (frontend.html / name).write_text(text)

    def reset(self) -> None:
        """Make them as they were at first, and have browser-reload see it."""
        self.opened.close()
        self.api.release()
        self.api = FakeApi()
        for backend in self.backends:
            backend.api = self.api
            backend.serve(CODE)
        for frontend in self.frontends:
            for file in frontend.html.glob("*.*"):
                file.unlink()
            for name in SERVED:
                shutil.copy(FRONTEND / name, frontend.html)
        self.service.start()
        # It looks on for a while after its last listener: a page must not be told first what the test before has left.
        with States(self.frontends[0]) as states:
            states.until(code=CODE, files=self.files(), failure=None)

    def states(self) -> "States":
        """Listen as a browser does."""
        return self.opened.enter_context(States(self.frontends[0]))


class States:
    """What a browser hears from browser-reload."""

    def __init__(self, nginx: Nginx) -> None:
        self._connection = nginx.connect()
        self.response = self._ask()

    def _ask(self) -> http.client.HTTPResponse:
        self._connection.request("GET", "/_dev/events")
        return self._connection.getresponse()

    def __iter__(self) -> Iterator[State]:
        while line := self.response.readline():
            if line.startswith(b"data: "):
                yield json.loads(line.removeprefix(b"data: "))

    def until(self, **wanted: object) -> State:
        """Return the first state that has these values."""
        for state in self:
            if wanted.items() <= state.items():
                return state
        raise AssertionError("the stream has ended")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.response.close()
        self._connection.close()


@contextmanager
def running_replicas() -> Iterator[Replicas]:
    """Run two replicas of the backend and of the frontend, and browser-reload."""
    api = FakeApi()
    with ExitStack() as stack:
        port = stack.enter_context(reserved_port())
        backends = [stack.enter_context(BackendPod(api)) for _ in range(2)]
        frontends = [stack.enter_context(running_nginx(one.server_port, browser_reload=port)) for one in backends]
        service = Service(port, [one.server_port for one in backends], [one.port for one in frontends])
        stack.enter_context(service)
        yield Replicas(api, backends, frontends, service, stack.enter_context(ExitStack()))
