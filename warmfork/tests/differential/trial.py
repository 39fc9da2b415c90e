"""Runs a case: starts the application, does the edits, and compares after each."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from differential.case import Case, Edit
from differential.comparison import Warmfork
from differential.reference import Answers, Observation, Reference, uvicorn_differences

# The kind of what happens before the first edit and after the last.
START, END = "(start)", "(end)"


@dataclass(frozen=True)
class Result:
    """What came of an edit. Without differences it is right."""

    number: int
    kind: str
    how: str
    differences: tuple[str, ...]
    seconds: float


class Trial:
    """An application on the disk, the server on it, and the reference."""

    def __init__(self, case: Case, root: Path, reference: Reference) -> None:
        self.case = case
        self._root = root
        self._reference = reference
        self._server: Warmfork | None = None
        # What was right when it was last asked.
        self._before: Answers | None = None
        # What the server that was ended last has said.
        self.former_log = ""
        case.write(root)

    def start(self) -> Result | None:
        """Start the server; return None when the application does not start under uvicorn either."""
        began = time.monotonic()
        expected = self.expected()
        if expected.error:
            return None
        found = self._restart(expected)
        return Result(-1, START, "started", tuple(found), time.monotonic() - began)

    def edit(self, number: int, edit: Edit) -> Result:
        """Do it and compare. After a difference the server is started anew, for the next edit to stand for itself."""
        server = self._server
        assert server is not None
        if edit.is_calm:
            server.await_calm()
        server.mark()
        began = time.monotonic()
        for step in edit.steps:
            step.perform(self._root)
        expected = self.expected()
        if not edit.is_one_step or edit.kind == "data per request":
            # Old code may have been replaced by a state in between, or read something new.
            self._before = None
        found = server.differences(expected, self._before)
        if not found and "thread" in self.case.features:
            found = server.doubled()
        result = Result(number, edit.kind, server.how(), tuple(found), time.monotonic() - began)
        if found:
            self.stop()
            self._restart(expected)
        elif not expected.error:
            self._before = {"/": expected.answers["/"]}
        return result

    def expected(self) -> Observation:
        """Return what a fresh uvicorn would serve now."""
        return self._reference.observe(self.case.layout, self._root)

    def check_reference(self) -> list[str]:
        """Return in what a real uvicorn differs from the reference."""
        return uvicorn_differences(self.case.layout, self._root, self.expected())

    def stop(self) -> list[str]:
        """End the server; return what is wrong with that, such as processes that are left."""
        server, self._server = self._server, None
        try:
            if server is not None:
                server.await_calm()
                server.stop()
        except (AssertionError, OSError) as error:
            return [f"end: {str(error).partition(chr(10))[0]}"]
        finally:
            self.former_log = server.log if server else self.former_log
        return []

    def _restart(self, expected: Observation) -> list[str]:
        self._before = None
        server = Warmfork(self.case.layout, self._root)
        self._server = server
        try:
            server.await_start()
        except AssertionError as error:
            return [f"start: {str(error).partition(chr(10))[0]}"]
        found = server.differences(expected, None)
        if not found and not expected.error:
            self._before = {"/": expected.answers["/"]}
        return found


@contextmanager
def trial(case: Case, reference: Reference) -> Iterator[Trial]:
    """Put the application into a temporary folder; nothing is left."""
    with tempfile.TemporaryDirectory(prefix="differential-") as folder:
        running = Trial(case, Path(folder).resolve() / "root", reference)
        try:
            yield running
        finally:
            running.stop()


def first_difference(
    case: Case, reference: Reference, report: Callable[[str], object] = lambda _: None
) -> Result | None:
    """Run the case as far as its first difference; return that."""
    with trial(case, reference) as running:
        start = running.start()
        if start is None or start.differences:
            return start
        for number, edit in enumerate(case.edits):
            result = running.edit(number, edit)
            report(f"{result.kind}: {'; '.join(result.differences) or 'right'} ({result.how})")
            if result.differences:
                report(running.former_log)
                return result
        found = running.stop()
        report(running.former_log)
        return Result(len(case.edits), END, "ended", tuple(found), 0) if found else None
