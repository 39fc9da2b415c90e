"""The change that is on its way to the requests: which files, since when, and who waits to hear of its effect."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path

from warmfork import report
from warmfork.control.control import Outcome

# Seconds from which on a lifespan is worth a word.
_LEAST_LIFESPAN = 0.001

Answer = Callable[[Outcome], None]


class PendingChange:
    """Files that have changed since the last success or failure, which may be none.

    began: of the latest save, as of time.monotonic(); unserved: names of files that have changed since the code that
    serves was saved, whatever became of those changes.
    """

    def __init__(self, app: str, address: str, files: Iterable[str], *, has_served: bool) -> None:
        """app: what is named where there are no files; address: where it is served, for people."""
        self._app = app
        self._address = address
        self._has_served = has_served
        self.files = set(map(Path, files))
        self.began = time.monotonic()
        self.unserved: set[str] = set()
        self._failed: set[Path] = set()
        self._answers: list[Answer] = []

    def __str__(self) -> str:
        """Return the files' names for a line."""
        return report.files(self.files) or self._app

    @property
    def seconds(self) -> float:
        """Time since the change began."""
        return time.monotonic() - self.began

    @property
    def _milliseconds(self) -> int:
        """The same, for a line."""
        return round(1_000 * self.seconds)

    def add(self, files: set[Path], began: float, answer: Answer | None) -> None:
        """Let a newer change supersede it, which is about its files as well."""
        self.files |= files
        self.began = began
        self.unserved |= set(map(str, files))
        self._answer(Outcome("superseded"))
        if answer:
            self._answers.append(answer)

    def wait(self, answer: Answer) -> None:
        """Let one more hear of its effect."""
        self._answers.append(answer)

    def note_served(self, way: str, refusal: str, lifespan: float) -> None:
        """Take note that its files are served, and tell everybody.

        refusal: why it was not swapped; lifespan: seconds that the application has taken to start.
        """
        of_lifespan = f", lifespan {round(1_000 * lifespan)} ms" if lifespan >= _LEAST_LIFESPAN else ""
        if self._has_served:
            how = f"{way}: {refusal}" if refusal else way
            report.log(f"{self}: reloaded in {self._milliseconds} ms ({how}){of_lifespan}")
        else:
            self._has_served = True
            report.log(f"serving {self._app} on {self._address} (started in {self._milliseconds} ms){of_lifespan}")
        self.files.clear()
        self.unserved.clear()
        self._answer(Outcome("reloaded"))

    def fail(self, error: str) -> None:
        """Take note that its files cannot be served."""
        self._failed = set(self.files)
        self.files.clear()
        self._answer(Outcome("failed", error))

    def begin_again(self) -> None:
        """Try once more what has failed."""
        self.files |= self._failed
        self.began = time.monotonic()

    def _answer(self, outcome: Outcome) -> None:
        answers, self._answers = self._answers, []
        for answer in answers:
            answer(outcome)
