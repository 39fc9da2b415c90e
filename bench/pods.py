"""Probes in the pods: when each replica, asked directly, first showed certain code.

A probe is a small program that `kubectl exec` runs beside the server. Containers share this machine's kernel and so its
monotonic clock; the time is taken in the pod, and neither kubectl nor the API server is part of it.
"""

import contextlib
import json
import select
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from devenv.failure import Failure
from tests.e2e.kubectl import CONTEXT
from tests.live_update.application import NAMESPACE, PORTS

PROGRAM = Path(__file__).with_name("probe.py").read_text()
# Seconds beyond those that the probe itself may take.
MARGIN = 15


@dataclass(frozen=True)
class Sighting:
    """When a replica first showed the code, in seconds of the monotonic clock; None: not in time.

    lost: requests that were lost with the connection.
    """

    served: float | None
    lost: int


def command_in_pod(pod: str, program: str = PROGRAM, *arguments: str) -> list[str]:
    """Return what runs a probe in a backend pod. arguments: for the program, after the server's port."""
    exec_in_pod = ["kubectl", "--context", CONTEXT, "--namespace", NAMESPACE, "exec", "-i", pod, "-c", "backend", "--"]
    return [*exec_in_pod, "python", "-c", program, str(PORTS["backend"]), *arguments]


class Observer:
    """A program beside one replica, which follows orders while the context lasts."""

    def __init__(self, replica: str, command: Sequence[str]) -> None:
        """Prepare to run the command, which runs a probe beside the replica."""
        self.replica = replica
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._seconds = 0.0

    def __enter__(self) -> Self:
        """Start it. Raises Failure when it does not run, or on another kernel."""
        began = time.monotonic()
        pipe = subprocess.PIPE
        # A group of its own, lest Ctrl-C reach it first.
        self._process = subprocess.Popen(self._command, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True)
        try:
            self._compare_clocks(began)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self._stop()

    def order(self, seconds: float, **fields: object) -> None:
        """Send an order that may take so long; result() tells what comes of it."""
        if self._process is None or self._process.stdin is None:
            raise RuntimeError("the probe has not been started")
        self._seconds = seconds
        # What has ended says so when it is read.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps({**fields, "seconds": seconds}).encode() + b"\n")
            self._process.stdin.flush()

    def result(self) -> dict[str, Any]:
        """Wait for the result of the order. Raises Failure when the probe has ended or does not answer."""
        process = self._process
        if process is None or process.stdout is None or process.stderr is None:
            raise RuntimeError("the probe has not been started")
        readable, _, _ = select.select([process.stdout], [], [], self._seconds + MARGIN)
        line = process.stdout.readline() if readable else b""
        if not line.endswith(b"\n"):
            process.kill()
            cause = process.stderr.read().decode(errors="replace").strip() or "it ended or does not answer"
            raise Failure(f"probe of {self.replica}", cause, "kubectl --context kind-todo --namespace todo get pods")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _compare_clocks(self, began: float) -> None:
        clock, now = self.result()["clock"], time.monotonic()
        if not began <= clock <= now:
            cause = f"its clock shows {clock:.3f} s, this machine's {now:.3f} s"
            raise Failure(f"probe of {self.replica}", cause, "measure on Linux, with the cluster on the same kernel")

    def _stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            # Closes the pipes as well.
            self._process.communicate()
            self._process = None


class Probe(Observer):
    """One replica, asked for its code over one connection."""

    def expect(self, code: str, seconds: float) -> None:
        """Let it ask until the code is shown, for at most so long; sighting() tells the result."""
        self.order(seconds, code=code)

    def sighting(self) -> Sighting:
        """Wait for the result of expect(). Raises Failure when the probe has ended or does not answer."""
        answer = self.result()
        return Sighting(answer["served"], answer["lost"])
