"""The backend as a process of its own, started and stopped as a container runtime does it."""

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from tests.ports import HOST, reserved_port

BACKEND = Path(__file__).parents[1]
PATIENCE = 60.0  # seconds; only a failing test waits that long


def environment(**settings: str) -> dict[str, str]:
    """Return an environment with nothing in it but the way to Python and these settings."""
    return {"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1", **settings}


def eventually(condition: Callable[[], bool]) -> None:
    """Return as soon as the condition holds; fail when it never does."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.02)


def answers(port: int, path: str) -> bool:
    """Tell whether a GET succeeds. For waiting: a client of httpx costs as much as a hundred of these."""
    with closing(http.client.HTTPConnection(HOST, port, timeout=PATIENCE)) as connection:
        try:
            connection.request("GET", path)
            return connection.getresponse().status == http.client.OK
        except OSError:
            return False


class BackendProcess:
    """`python -m app`, reachable at `url` and by `client` once entered."""

    def __init__(self, output: Path, prefix: tuple[str, ...] = (), **settings: str) -> None:
        self._output = output
        self._command = [*prefix, sys.executable, "-m", "app"]
        self._settings = settings
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        self.port = self._resources.enter_context(reserved_port())
        self.metrics_port = self._resources.enter_context(reserved_port())
        self.url = f"http://{HOST}:{self.port}"
        self.client = self._resources.enter_context(httpx.Client(base_url=self.url))
        ports = {"PORT": str(self.port), "METRICS_PORT": str(self.metrics_port)}
        with self._output.open("w") as output:
            self.process = subprocess.Popen(
                self._command,
                cwd=BACKEND,
                env=environment(**({**ports, "DRAIN_SECONDS": "0"} | self._settings)),
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            eventually(self._serving)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    @property
    def metrics(self) -> str:
        return self.client.get(f"http://{HOST}:{self.metrics_port}/metrics").text

    @property
    def log(self) -> str:
        return self._output.read_text()

    def _serving(self) -> bool:
        assert self.process.poll() is None, self.log
        return answers(self.port, "/healthz")

    def _end(self) -> None:
        with self._resources:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE)
            finally:
                self.process.kill()
                self.process.wait()
