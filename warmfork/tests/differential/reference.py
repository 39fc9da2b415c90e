"""What a fresh uvicorn serves from the same files, told quickly by a fork server, and at times by uvicorn itself."""

import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from differential.case import Layout
from http_connection import PATIENCE

PROGRAM = Path(__file__).with_name("reference_process.py")
RUNNING = re.compile(r"Uvicorn running on http://127\.0\.0\.1:(\d+)")
Answers = Mapping[str, tuple[int, Any]]


@dataclass(frozen=True)
class Observation:
    """What is served: the error of the start, which is empty after a good one, status and body by path, the log."""

    error: str = ""
    answers: Answers = field(default_factory=dict)
    log: str = ""

    @property
    def logged(self) -> list[str]:
        """Return the lines that the application itself has logged."""
        return re.findall(r"(?m)^.*\blogs \d+$", self.log)


def body(text: str) -> Any:  # noqa: ANN401
    """Return what JSON says, or the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


class Reference:
    """Answers by the fork server."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"PATH": os.environ["PATH"]},
        )
        self.seconds = 0.0
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(PATIENCE)
        self._process.stdout.close()

    def observe(self, layout: Layout, root: Path) -> Observation:
        """Return what is to be served now."""
        request = {
            "application": layout.application,
            "is_factory": layout.is_factory,
            "directory": str(root / layout.directory),
            "app_dir": layout.app_dir,
            "python_path": [str(root / folder) for folder in layout.python_path],
        }
        with self._lock:
            answer = self._ask(request)
        answers = {path: (status, body(text)) for path, (status, text) in answer["answers"].items()}
        return Observation(answer["error"], answers, answer["log"])

    def _ask(self, request: Mapping[str, object]) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        began = time.monotonic()
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the fork server of the reference has ended"
        self.seconds += time.monotonic() - began
        answer: dict[str, Any] = json.loads(line)
        return answer


def uvicorn_differences(layout: Layout, root: Path, expected: Observation) -> list[str]:
    """Return in what a process of uvicorn differs from the fork server's answer, started now on the same files."""
    command = [sys.executable, "-m", "uvicorn", layout.application, "--port", "0", *layout.own_options]
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(str(root / folder) for folder in layout.python_path),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPYCACHEPREFIX": str(root / "no bytecode"),
    }
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command, cwd=root / layout.directory, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )

        def text() -> str:
            log.seek(0)
            return log.read()

        deadline = time.monotonic() + PATIENCE
        while not (running := RUNNING.search(text())) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        try:
            if not running:
                # A traceback tells on lines of their own where a text is no Python.
                reason = re.sub(r" \(\S+, line \d+\)$", "", expected.error.removeprefix("ImportFromStringError: "))
                if reason.startswith("SystemExit"):
                    reason = ""
                return [] if expected.error and reason in text() else [f"uvicorn: {text()}, not {expected.error!r}"]
            answers = ask(int(running[1]), expected.answers)
            return [
                f"{path}: uvicorn answers {answers[path]}, not {answer}"
                for path, answer in expected.answers.items()
                if answers[path] != answer
            ] or ([f"uvicorn serves in spite of {expected.error}"] if expected.error else [])
        finally:
            process.terminate()
            process.wait(PATIENCE)


def ask(port: int, paths: Iterable[str]) -> Answers:
    """Return status and body by path, asked one after another."""
    answers = {}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        for path in paths:
            connection.request("GET", path)
            response = connection.getresponse()
            answers[path] = (response.status, body(response.read().decode()))
            if response.status == 500:
                # uvicorn closes the connection of a request that raised an exception, without saying so before.
                connection.close()
    finally:
        connection.close()
    return answers
