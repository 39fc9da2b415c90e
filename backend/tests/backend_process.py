"""The backend as a process of its own, started and stopped as a container runtime does it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

BACKEND = Path(__file__).parents[1]
PATIENCE = 60.0  # seconds; only a failing test waits that long


def environment(**settings: str) -> dict[str, str]:
    """Return an environment with nothing in it but the way to Python and these settings."""
    return {"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1", **settings}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def eventually(condition: Callable[[], bool]) -> None:
    """Return as soon as the condition holds; fail when it never does."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.02)


class BackendProcess:
    """`python -m app`, reachable at `url` once entered."""

    def __init__(self, output: Path, prefix: tuple[str, ...] = (), **settings: str) -> None:
        self.port = free_port()
        self.metrics_port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._output = output
        self._command = [*prefix, sys.executable, "-m", "app"]
        self._environment = environment(
            **({"PORT": str(self.port), "METRICS_PORT": str(self.metrics_port), "DRAIN_SECONDS": "0"} | settings)
        )

    def __enter__(self) -> Self:
        with self._output.open("w") as output:
            self.process = subprocess.Popen(
                self._command, cwd=BACKEND, env=self._environment, stdout=output, stderr=subprocess.STDOUT
            )
        eventually(self._serving)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.process.wait()

    @property
    def log(self) -> str:
        return self._output.read_text()

    def _serving(self) -> bool:
        assert self.process.poll() is None, self.log
        try:
            return httpx.get(f"{self.url}/healthz").is_success
        except httpx.TransportError:
            return False
