"""The development servers that are compared, each with its own copy of an application."""

import contextlib
import http.client
import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from bench.processes import Process, process_tree
from devenv.failure import Failure

WARMFORK = "warmfork"
HOST = "127.0.0.1"
# Seconds.
START, STOP = 120, 10
# It is quiet when it has taken at most this share of a core for so long; seconds.
QUIET, QUIET_SHARE, RESTLESS = 0.3, 0.1, 60
TAIL_LINES = 20

# As their documentation says to start them for development; no line for each request, where that can be turned off.
COMMANDS = {
    WARMFORK: "warmfork app.main:app --host 127.0.0.1 --port {port} --reload-dir app --no-access-log",
    "uvicorn --reload": "uvicorn app.main:app --port {port} --reload --reload-dir app --no-access-log",
    "fastapi dev": "fastapi dev app/main.py --port {port} --reload-dir app",
    "granian --reload": "granian app.main:app --interface asgi --port {port} --reload --reload-paths app",
    "hypercorn --reload": "hypercorn app.main:app --bind 127.0.0.1:{port} --reload",
}
# These change the running process, and are not always right; they are no development requirements.
PATCHING = {
    "uvicorn-hmr": "uvicorn_hmr app.main:app --host 127.0.0.1 --port {port} --reload-include app",
    "jurigged": "jurigged --watch app -m uvicorn app.main:app --port {port} --no-access-log",
}


class Application(Protocol):
    """What is served, as app.main:app."""

    @property
    def folder(self) -> Path:
        """The folder that the package lies in."""

    @property
    def shown(self) -> Mapping[str, str]:
        """The version that each address shows once every edit is saved."""


class Server[A: Application]:
    """A server that runs while the context lasts."""

    def __init__(self, name: str, application: A, python: Path | str = sys.executable) -> None:
        """Prepare one of COMMANDS or PATCHING."""
        self.name = name
        self.application = application
        self.port = _free_port()
        # Seconds from its start to the first right answer.
        self.started_in = math.inf
        # Whether it had to be killed.
        self.was_killed = False
        self._python = python
        self._log = application.folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start it, and wait until it answers."""
        words = (COMMANDS | PATCHING)[self.name].format(port=self.port).split()
        began = time.monotonic()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [self._python, "-m", *words],
                cwd=self.application.folder,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # A group of its own, lest Ctrl-C reach it before it is told to end.
                start_new_session=True,
            )
        try:
            self._await_answer()
        except BaseException:
            self._stop()
            raise
        self.started_in = time.monotonic() - began
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it and all that it has started."""
        self._stop()

    @property
    def has_ended(self) -> bool:
        """Whether it has ended by itself."""
        return self._process is None or self._process.poll() is not None

    def processes(self) -> list[Process]:
        """Return its processes, the one that was started first."""
        return process_tree(self._process.pid) if self._process else []

    def restart(self) -> None:
        """Start it anew, with what is saved by now."""
        self._stop()
        self.__enter__()

    def await_saved(self) -> None:
        """Return when every address shows what is saved. Raises Failure."""
        self._await_answer()

    def await_quiet(self) -> None:
        """Return when its processes take no more processor time, as after a save; or when they never stop to."""
        deadline = time.monotonic() + RESTLESS
        before = self.seconds()
        while time.monotonic() < deadline:
            time.sleep(QUIET)
            now = self.seconds()
            if now - before <= QUIET_SHARE * QUIET:
                return
            before = now

    def seconds(self) -> float:
        """Return the processor time that it has taken so far, with all that it has started."""
        return sum(process.seconds + process.ended for process in self.processes())

    def lines(self) -> list[str]:
        """Return the lines that it wrote."""
        return self._log.read_text(errors="replace").splitlines()

    def tail(self) -> str:
        """Return the last lines that it wrote."""
        return "\n".join(self.lines()[-TAIL_LINES:])

    def differing(self) -> list[str]:
        """Return the addresses that do not show what is saved."""
        return [path for path, version in self.application.shown.items() if self._version(path) != version]

    def _await_answer(self) -> None:
        deadline = time.monotonic() + START
        while self.differing():
            if self.has_ended or time.monotonic() > deadline:
                what = (
                    f"{self.name} {'ended before it served' if self.has_ended else f'did not serve within {START} s'}"
                )
                raise Failure(what, self.tail() or "it wrote nothing", "measure without it: see --only in --help")
            time.sleep(0.05)

    def _version(self, path: str) -> str | None:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=START)
        with (
            contextlib.closing(connection),
            contextlib.suppress(OSError, http.client.HTTPException, ValueError, KeyError),
        ):
            connection.request("GET", path)
            return read_version(connection.getresponse().read())
        return None

    def _stop(self) -> None:
        if self._process is None:
            return
        left = [process.identifier for process in self.processes()]
        self._process.terminate()
        try:
            self._process.wait(STOP)
        except subprocess.TimeoutExpired:
            print(f"{self.name} did not end within {STOP} s of SIGTERM and is killed", file=sys.stderr)
            self.was_killed = True
            self._process.kill()
            self._process.wait()
        for identifier in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(identifier, signal.SIGKILL)
        # A signal is sent sooner than it has had its effect.
        while any(process_tree(identifier) for identifier in left):
            time.sleep(0.01)


def read_version(body: bytes) -> str:
    """Return the version that an answer shows. Raises ValueError or KeyError."""
    return ",".join(map(str, json.loads(body)["revisions"]))


def _environment() -> dict[str, str]:
    # Without bytecode every server but warmfork would pay for compiling at each reload.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    warmfork = Path(__file__).parents[1] / "warmfork" / "src"
    return environment | {"PYTHONPATH": str(warmfork), "PYTHONUNBUFFERED": "1"}


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
