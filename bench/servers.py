"""The development servers that are compared, each with its own copy of the sample application."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.processes import Process, process_tree
from bench.sample_application import SampleApplication, read_version
from devenv.failure import Failure

WARMFORK = "warmfork"
HOST = "127.0.0.1"
# Seconds.
START, STOP = 60, 10
TAIL_LINES = 20

# As their documentation says to start them for development; no line for each request, where that can be turned off.
COMMANDS = {
    WARMFORK: "warmfork app.main:app --host 127.0.0.1 --port {port} --reload-dir app --no-access-log",
    "uvicorn --reload": "uvicorn app.main:app --port {port} --reload --reload-dir app --no-access-log",
    "fastapi dev": "fastapi dev app/main.py --port {port} --reload-dir app",
    "granian --reload": "granian app.main:app --interface asgi --port {port} --reload --reload-paths app",
    "hypercorn --reload": "hypercorn app.main:app --bind 127.0.0.1:{port} --reload",
}


class Server:
    """A server that runs while the context lasts."""

    def __init__(self, name: str, application: SampleApplication) -> None:
        """Prepare one of COMMANDS."""
        self.name = name
        self.application = application
        self.port = _free_port()
        self._log = application.folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start it, and wait until it answers."""
        words = COMMANDS[self.name].format(port=self.port).split()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *words],
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

    def tail(self) -> str:
        """Return the last lines that it wrote."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-TAIL_LINES:])

    def _await_answer(self) -> None:
        deadline = time.monotonic() + START
        while not self._answers():
            if self.has_ended or time.monotonic() > deadline:
                what = (
                    f"{self.name} {'ended before it served' if self.has_ended else f'did not serve within {START} s'}"
                )
                raise Failure(what, self.tail() or "it wrote nothing", "measure without it: see --only in --help")
            time.sleep(0.05)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=START)
        with (
            contextlib.closing(connection),
            contextlib.suppress(OSError, http.client.HTTPException, ValueError, KeyError),
        ):
            connection.request("GET", "/version")
            answer = json.loads(connection.getresponse().read())
            return read_version(answer["revisions"]) == self.application.version
        return False

    def _stop(self) -> None:
        if self._process is None:
            return
        left = [process.identifier for process in self.processes()]
        self._process.terminate()
        try:
            self._process.wait(STOP)
        except subprocess.TimeoutExpired:
            print(f"{self.name} did not end within {STOP} s of SIGTERM and is killed", file=sys.stderr)
            self._process.kill()
            self._process.wait()
        for identifier in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(identifier, signal.SIGKILL)
        # A signal is sent sooner than it has had its effect.
        while any(process_tree(identifier) for identifier in left):
            time.sleep(0.01)


def _environment() -> dict[str, str]:
    # Without bytecode every server but warmfork would pay for compiling at each reload.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    warmfork = Path(__file__).parents[1] / "warmfork" / "src"
    return environment | {"PYTHONPATH": str(warmfork), "PYTHONUNBUFFERED": "1"}


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
