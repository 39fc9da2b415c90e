"""Servers without the time that a new interpreter and its imports take: forks of a process that has had it."""

import atexit
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).parents[1] / "src"
PROGRAM = Path(__file__).with_name("fork_server_process.py")
# What every server imports beside warmfork; what applications of FastAPI import. A larger process takes longer to fork.
LIBRARIES = (
    "dotenv",
    "starlette.applications",
    "starlette.responses",
    "starlette.websockets",
    "uvicorn.lifespan.on",
    "uvicorn.logging",
    "uvicorn.loops.auto",
    "uvicorn.middleware.proxy_headers",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.auto",
)
FASTAPI = ("fastapi.openapi.utils", "fastapi.responses", "pydantic_settings", "sqlmodel")


class ForkServer:
    """Runs warmfork in forks of itself. `python -m warmfork` is at the same point when it has imported the same."""

    def __init__(self, libraries: Iterable[str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(PROGRAM), "warmfork.command", *LIBRARIES, *libraries],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Ctrl-C is for the tests; it ends when they do.
            start_new_session=True,
        )
        self._lock = threading.Lock()

    def end(self) -> None:
        self._process.communicate()

    def run(
        self, arguments: Iterable[str], directory: Path, output: Path, environment: Mapping[str, str]
    ) -> "ForkedProcess":
        """Run warmfork in a session of its own, which appends to the output."""
        pid: int = self.ask(
            arguments=list(arguments), directory=str(directory), output=str(output), environment=dict(environment)
        )
        return ForkedProcess(self, pid)

    def ask(self, **request: object) -> Any:  # noqa: ANN401
        assert self._process.stdin
        assert self._process.stdout
        with self._lock:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())


@cache
def fork_server(libraries: tuple[str, ...]) -> ForkServer:
    """Return this process's one that has imported the libraries as well. It ends with this process."""
    server = ForkServer(libraries)
    atexit.register(server.end)
    return server


class ForkedProcess:
    """What subprocess.Popen is for a process that it has started."""

    def __init__(self, server: ForkServer, pid: int) -> None:
        self._server = server
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._server.ask(ended=self.pid)
        return self.returncode

    def wait(self, timeout: float) -> int:
        """Return the exit code of a process that has ended."""
        if (code := self.poll()) is None:
            raise subprocess.TimeoutExpired(f"the fork {self.pid}", timeout)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)
