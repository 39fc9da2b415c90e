"""`python -m warmfork` as a process of its own."""

import json
import os
import re
import secrets
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fork_server import FASTAPI, SOURCE, ForkedProcess, fork_server
from http_connection import PATIENCE, Answer, Connection
from sample_project import Project

# A prefix for tests of the start itself.
NEW_PROGRAM = (sys.executable,)
STATUS = "/_warmfork"
# The line that ends the start, well or not, with the address.
STARTED = re.compile(r"(?m)^warmfork: .*(?:serving .* on|nothing serves;) (\S+) ")


@dataclass(frozen=True)
class Process:
    """A line of the process table. The state is the letter that ps shows."""

    pid: int
    state: str
    parent: int
    title: str


class Server:
    """A development server on a sample project. Whatever it starts is in a session of its own."""

    def __init__(  # noqa: PLR0913 - most tests leave most of it
        self,
        project: Project,
        *options: str,
        application: str | None = None,
        python_path: Iterable[Path] = (),
        environment: Mapping[str, str] | None = None,
        prefix: Iterable[str] = (),
        file_descriptors: tuple[int, ...] = (),
        port: int = 0,
        status_path: str | None = STATUS,
        access_log: bool = False,
        directory: Path | None = None,
    ) -> None:
        """Start it in a fork, or by the prefix (an interpreter) as a program, as what an interpreter reads needs it."""
        self.project = project
        self._port = port
        self._output = project.directory.with_suffix(".log")
        defaults = {
            "--host": "127.0.0.1",
            "--port": str(port),
            "--reload-dir": project.package,
            "--status-path": status_path,
        }
        given = {option.partition("=")[0] for option in options}
        arguments = [application or f"{project.package}.main:app", *options]
        for name, value in defaults.items():
            if value is not None and name not in given:
                arguments += [name, value]
        arguments.append("--access-log" if access_log else "--no-access-log")
        if environment or file_descriptors or "--listen" in given:
            prefix = prefix or NEW_PROGRAM
        variables = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(map(str, [SOURCE, *python_path])),
            **(environment or {}),
        }
        self._process = start(
            arguments,
            directory=directory or project.directory,
            output=self._output,
            environment=variables,
            prefix=prefix,
            file_descriptors=file_descriptors,
            libraries=FASTAPI if project.package == "shop" else (),
        )
        self.pid = self._process.pid
        # Copies of the template that have waited after so many reloads.
        self._copies: set[int] = set()
        self._reloads = 0

    def await_start(self) -> None:
        """Return when the application serves, or the page about its failure."""
        self.until("the server has started", lambda: re.search(STARTED, self.log))

    @cached_property
    def port(self) -> int:
        """The port of its address, which the kernel has chosen unless an option did."""
        return self._port or int(re.findall(STARTED, self.log)[0].rpartition(":")[2])

    @property
    def log(self) -> str:
        return self._output.read_text()

    def reports(self, pattern: str = "") -> list[str]:
        """Return warmfork's own lines in which the pattern occurs, in their order and without the name at the front."""
        lines = [line.removeprefix("warmfork: ") for line in self.log.splitlines() if line.startswith("warmfork: ")]
        return [line for line in lines if re.search(pattern, line)]

    def reloaded_files(self) -> list[str]:
        """Return the files of each reload that ended well, as its report names them."""
        return [line.partition(": reloaded in ")[0] for line in self.reports(r": reloaded in \d+ ms \(.+\)")]

    def connect(self) -> Connection:
        """Open a connection that stays open."""
        return Connection(self.port)

    def get(self, path: str = "/") -> Answer:
        """Send a request on a connection of its own."""
        with self.connect() as connection:
            return connection.get(path)

    def text(self, path: str = "/") -> str:
        """Return the text under the path. Raises AssertionError unless the answer is 200."""
        answer = self.get(path)
        assert answer.status == 200, f"{path}: {answer.status} {answer.text}\n{self.log}"
        return answer.text

    def status(self) -> dict[str, Any]:
        """Return what the serving process tells about itself."""
        status: dict[str, Any] = json.loads(self.text(STATUS))
        return status

    def until(self, what: str, condition: Callable[[], object]) -> None:
        """Return as soon as the condition holds. Raises AssertionError with the log if it never does."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert self._process.poll() is None, f"the server ended before this was true: {what}\n{self.log}"
            assert time.monotonic() < deadline, f"not true within {PATIENCE:.0f} s: {what}\n{self.log}"
            time.sleep(0.005)

    def until_text(self, expected: str, path: str = "/") -> None:
        """Return as soon as this is the text under the path. No answer meanwhile may be another than 200."""
        self.until(f"{path} answers {expected!r}", lambda: self.text(path) == expected)

    def until_reloads(self, number: int) -> None:
        """Return as soon as so many reloads are reported. Raises AssertionError when there are more."""
        self.until(f"{number} reloads are reported", lambda: len(self.reloaded_files()) >= number)
        assert len(self.reloaded_files()) == number, self.log

    def until_standby(self) -> None:
        """Return as soon as a process has imported ahead what it can, and waits for the next change."""
        self.until("a process stands by", lambda: self.titled("standby"))

    def until_copy(self) -> None:
        """Return as soon as a copy of the present template waits for the next change."""
        reloads = len(self.reloaded_files())
        # A reload kills what is of no use any more, which takes its time.
        former = self._copies if reloads > self._reloads else set()
        self.until("a copy waits", lambda: set(self.titled("copy")) - former)
        self._copies, self._reloads = set(self.titled("copy")), reloads

    def until_one_serves(self) -> None:
        """Return as soon as those that served before have ended."""
        self.until("one process serves", lambda: len(self.titled("serving")) == 1 and not self.titled("draining"))

    def titled(self, title: str) -> list[int]:
        """Return the ids of the processes that are there for this."""
        return [process.pid for process in self.processes() if process.title == f"fork:{title}"]

    def until_reported(self, pattern: str) -> None:
        """Return as soon as a line of warmfork's own matches the pattern."""
        self.until(f"the log says {pattern!r}", lambda: self.reports(pattern))

    def processes(self) -> list[Process]:
        """Return what runs, or is not reaped, of all that the server has started, itself included."""
        return session(self.pid)

    def await_end_of(self, pid: int) -> None:
        """Return when a process of the session is gone, and reaped."""
        self.until(f"{pid} is gone", lambda: pid not in [process.pid for process in self.processes()])

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the parent alone."""
        self._process.send_signal(number)

    def wait(self) -> int:
        """Return the exit code of the parent once it has ended."""
        if self._process.poll() is None:
            descriptor = os.pidfd_open(self.pid)
            # Popen would look from time to time.
            select.select([descriptor], [], [], PATIENCE)
            os.close(descriptor)
        return self._process.wait(0)

    def stop(self) -> None:
        """End it as a container runtime does. Raises AssertionError if it does not end well or leaves something."""
        try:
            if self._process.returncode is None:
                self.signal(signal.SIGTERM)
                code = self.wait()
                assert code == 0, f"the server ended with {code}\n{self.log}"
            self.await_empty_session()
        finally:
            for process in self.processes():
                os.kill(process.pid, signal.SIGKILL)
            self.wait()

    def await_empty_session(self) -> None:
        """Return when nothing is left that the server has started. Raises AssertionError if something stays."""
        deadline = time.monotonic() + PATIENCE
        while left := self._left():
            assert time.monotonic() < deadline, f"still there: {left}\n{self.log}"
            time.sleep(0.005)

    def _left(self) -> list[Process]:
        """Return what is left, without the dead that others have yet to reap: process 1 may do so once a second."""
        left = self.processes()
        own = {process.pid for process in left}
        return [process for process in left if process.state != "Z" or process.parent in own]


def start(  # noqa: PLR0913 - all that a process begins with
    arguments: Iterable[str],
    *,
    directory: Path,
    output: Path,
    environment: Mapping[str, str],
    prefix: Iterable[str] = (),
    file_descriptors: tuple[int, ...] = (),
    libraries: tuple[str, ...] = (),
) -> subprocess.Popen[bytes] | ForkedProcess:
    """Start warmfork in a session of its own: by the prefix as a program, or in a fork with the libraries."""
    with output.open("wb") as file:
        if not prefix:
            return fork_server(libraries).run(arguments, directory, output, environment)
        return subprocess.Popen(
            [*prefix, "-m", "warmfork", *arguments],
            cwd=directory,
            env=environment,
            pass_fds=file_descriptors,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


# Starts a server and returns it once it answers; takes what Server takes. A test gets it as a fixture.
Serve = Callable[..., Server]


def unused_port() -> int:
    """Return a port that nothing listens on and that no outgoing connection is given, for what cannot choose one."""
    while True:
        port = 20_000 + secrets.randbelow(10_000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port


def session(number: int) -> list[Process]:
    """Return every process of a session."""
    found = []
    # Asked for very often, and there may be hundreds: a system call is quicker than a file, and text than paths.
    for pid in filter(str.isdecimal, os.listdir("/proc")):  # noqa: PTH208
        try:
            if os.getsid(int(pid)) == number:
                title, _, rest = Path(f"/proc/{pid}/stat").read_text().partition("(")[2].rpartition(")")
                state, parent = rest.split()[:2]
                found.append(Process(int(pid), state, int(parent), title))
        except (FileNotFoundError, ProcessLookupError):  # it ended just now
            continue
    return found


def sockets(pid: int) -> set[str]:
    """Return what identifies the process's sockets, but for those of its standard streams."""
    found = set()
    for path in Path(f"/proc/{pid}/fd").iterdir():
        # One may be closed while they are looked at.
        with suppress(FileNotFoundError):
            if int(path.name) > 2 and (target := os.readlink(path)).startswith("socket:"):  # noqa: PTH115
                found.add(target)
    return found
