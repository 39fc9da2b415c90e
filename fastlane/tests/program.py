"""The program as the Tiltfile starts it, and in a hurry."""

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

from fastlane.tests.cluster import PATIENCE, SELECTOR, until

CHECKOUT = Path(__file__).parents[2]
PYTHON_PATH = os.pathsep.join(map(str, [CHECKOUT, CHECKOUT / "warmfork" / "src"]))
_OPTIONS = [
    *("--namespace", "todo", "--selector", SELECTOR, "--container", "backend"),
    *("--sync", "backend/app=/app/app", "--control", "/tmp/warmfork.sock"),  # noqa: S108 - a path in pods
]
COMMAND = [sys.executable, "-m", "fastlane", *_OPTIONS]


class FastLane:
    """A run, and the lines that it has printed."""

    def __init__(self, checkout: Path, programs: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "fastlane.tests.hurried", *_OPTIONS],
            cwd=checkout,
            env={"PATH": str(programs), "PYTHONPATH": PYTHON_PATH},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self._process.stdout
        assert self._process.stderr
        self._output, self._errors = self._process.stdout, self._process.stderr
        self.pid = self._process.pid
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def said(self, pattern: str, times: int = 1) -> None:
        """Wait until so many lines match as a whole."""

        def is_said() -> bool:
            return len([line for line in self.lines if re.fullmatch(f"fast lane: {pattern}", line)]) >= times

        until(is_said, f"{pattern!r} is said {times} times", self.lines)

    def children(self) -> list[int]:
        """Return the processes that it has started and that still run."""
        return [int(child) for child in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def await_end(self) -> None:
        """Return when it has ended, which must not be with an error."""
        self._process.wait(PATIENCE)
        self._reader.join()
        with self._output, self._errors:
            errors = self._errors.read().decode()
            assert (errors, self._process.returncode) == ("", 0), errors

    def _read(self) -> None:
        for line in self._output:
            self.lines.append(line.decode().rstrip("\n"))
