"""Compares what warmfork serves with what a fresh uvicorn would."""

import contextlib
import json
import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from differential.case import Layout
from differential.reference import Answers, Observation, ask
from fork_server import FASTAPI, SOURCE
from http_connection import PATIENCE
from sample_project import Project
from warmfork.child.title import Title
from warmfork_server import STATUS, Server, start

# Seconds in which nothing moves before a difference is final. A failed state is tried again after a short time.
QUIET = 1.2
# Seconds until a standby has imported what it can, which not every application gets.
STANDBY = 1.5


class _Place(Project):
    """The working directory of a generated application."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory


class Warmfork(Server):
    """warmfork on a generated application."""

    def __init__(self, layout: Layout, root: Path) -> None:
        self.project = _Place(root / layout.directory)
        self._app_dir = root / layout.directory / layout.app_dir
        self._output = root.with_suffix(".log")
        self._port = 0
        options = (*layout.options, *layout.own_options, "--status-path", STATUS, "--no-access-log")
        paths = [SOURCE, *(root / folder for folder in layout.python_path)]
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(map(str, paths))}
        arguments = (layout.application, "--port", "0", *options)
        self._process = start(
            arguments,
            directory=root / layout.directory,
            output=self._output,
            environment=environment,
            libraries=FASTAPI,
        )
        self.pid = self._process.pid
        self._read = 0

    @cached_property
    def address(self) -> int:
        """The port, whose look-up in a long log takes its time."""
        return self.port

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def await_calm(self) -> None:
        """Return when a process stands by and none starts, or when that has not come about after a while."""
        began = time.monotonic()
        while not self.has_ended and time.monotonic() - began < STANDBY:
            titles = self._titles()
            if Title.STANDBY in titles and Title.STARTING not in titles:
                return
            time.sleep(0.01)

    def _titles(self) -> set[str]:
        """Return what the parent's children are there for, which is cheaper than the whole table of processes."""
        titles = set()
        with contextlib.suppress(OSError):  # one ended just now
            titles |= {Path(f"/proc/{pid}/comm").read_text().strip() for pid in self._children()}
        return titles

    def _states(self) -> dict[int, str]:
        """Return the states of the parent and its children."""
        states = {}
        try:
            for pid in (self.pid, *self._children()):
                states[pid] = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:  # one ended just now
            states[0] = "R"
        return states

    def _children(self) -> list[int]:
        return [*map(int, Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split())]

    def mark(self) -> None:
        """Forget what the log says so far."""
        self._read = self._output.stat().st_size

    def said(self) -> str:
        """Return what the log says since the mark."""
        with self._output.open("rb") as log:
            log.seek(self._read)
            return log.read().decode(errors="replace")

    def how(self) -> str:
        """Return in which way the last change was served."""
        way = r"(?m)^warmfork: .*?(not reloaded|restarting|(?<=reloaded in) \d+ ms \((?:swapped|standby|imported))"
        reports = re.findall(way, self.said())
        ways = {"not reloaded": "refused", "restarting": "restarted"}
        return ways.get(reports[-1], reports[-1].rpartition("(")[2]) if reports else "nothing"

    def differences(self, expected: Observation, before: Answers | None) -> list[str]:
        """Return in what it differs, once that is final; [] as soon as there is nothing.

        before: what may still be served when the start fails, if that is known.
        """
        deadline, since, last = time.monotonic() + PATIENCE, time.monotonic(), None
        while True:
            found = self._differences_now(expected, before)
            now = time.monotonic()
            if not found or self.has_ended or now > deadline:
                return [*found, *self._ended()]
            time.sleep(0.03)
            states = self._states()
            signs = (self._output.stat().st_size, states.keys(), found)
            if signs != last or not {"R", "D"}.isdisjoint(states.values()):
                since, last = now, signs
            elif now - since > QUIET:
                return found

    def doubled(self) -> list[str]:
        """Return which modules hold their files open, and so have a thread, in more than one process for long."""
        self.await_calm()
        deadline = time.monotonic() + QUIET
        while True:
            holders = Counter(path for process in self.processes() for path in _open_modules(process.pid))
            found = [
                f"processes: {count} have the thread of {path.name}" for path, count in holders.items() if count > 1
            ]
            if not found or time.monotonic() > deadline:
                return found
            time.sleep(0.03)

    def _ended(self) -> list[str]:
        return [f"the server has ended with {self._process.returncode}"] if self.has_ended else []

    def _differences_now(self, expected: Observation, before: Answers | None) -> list[str]:
        try:
            status, *_ = ask(self.address, [STATUS]).values()
            failure = (status[1]["failure"] or {}).get("error", "")
            # Here a module knows its real path, whatever link the application's folder was named by.
            error = expected.error.replace(f"{self._app_dir}/", f"{self._app_dir.resolve()}/")
            if failure != error:
                return [f"error: {failure or '(none)'}, not {error or '(none)'}"]
            if not expected.error:
                found = list(compare(ask(self.address, expected.answers), expected.answers))
                said = self._output.read_text(errors="replace") if expected.logged else ""
                found += [f"log: {line!r} is missing" for line in expected.logged if line not in said]
                if "Traceback (most recent call last)" in self.said() and "Traceback" not in expected.log:
                    found.append("log: a traceback that is not the application's")
                return found
            if status[1]["serving"] and before:
                return [f"after a failure: {line}" for line in compare(ask(self.address, before), before)]
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            return [f"no answer: {error!r}"]
        return []


def _open_modules(pid: int) -> set[Path]:
    found = set()
    with contextlib.suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                found.add(descriptor.readlink())
    return {path for path in found if path.suffix == ".py"}


def compare(found: Answers, expected: Answers) -> Iterator[str]:
    """Yield one line for each part of an answer that is not as it should be."""
    for path, answer in expected.items():
        if found[path] == answer:
            continue
        if found[path][0] != answer[0] or not isinstance(answer[1], dict):
            yield f"{path}: {_short(found[path])}, not {_short(answer)}"
        else:
            yield from _parts(path, found[path][1], answer[1])


def _parts(path: str, found: Any, expected: Any) -> Iterator[str]:  # noqa: ANN401
    if isinstance(found, dict) and isinstance(expected, dict):
        for key in sorted(found.keys() | expected.keys()):
            if found.get(key) != expected.get(key):
                yield from _parts(f"{path} {key}", found.get(key), expected.get(key))
    else:
        yield f"{path}: {_short(found)}, not {_short(expected)}"


def _short(value: Any) -> str:  # noqa: ANN401
    text = json.dumps(value)
    return text if len(text) < 100 else f"{text[:100]}..."
