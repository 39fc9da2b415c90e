"""Traffic while something is done to the application, and what became of each request and each acknowledged write."""

import json
import subprocess
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from types import TracebackType
from typing import Self
from uuid import uuid4

from tests.drills.prober import PATIENCE, Record

PROBER = Path(__file__).with_name("prober.py")
ENDING = 30.0  # seconds for the outstanding answers and the way back


@dataclass(frozen=True)
class Row:
    """A todo as the database has it."""

    todo_id: int
    title: str


class Traffic:
    """Requests that are sent while the context lasts, by a name of their own.

    command: starts a program, on this machine or in a pod, that takes the prober's options.
    """

    def __init__(self, command: Sequence[str | Path], options: Sequence[str]) -> None:
        """Prepare; nothing is sent before the context is entered."""
        # Begins the title of each todo that they make.
        self.name = f"drill-{uuid4().hex}"
        self._command = [*command, "--name", self.name, *options]
        self._records: list[Record] = []
        self._news = threading.Condition()
        self._process: subprocess.Popen[str] | None = None
        self._reading = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        """Begin to send, and return when the first answers are there."""
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._reading.start()
        try:
            self.wait_for(10)
        except AssertionError as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop sending, and wait for what is outstanding."""
        assert self._process is not None
        with self._process as process:
            assert process.stdin is not None
            assert process.stderr is not None
            process.stdin.close()
            try:
                code = process.wait(PATIENCE + ENDING)
            except subprocess.TimeoutExpired:
                process.kill()
                raise AssertionError("the prober did not end") from error
            self._reading.join()
            if code and error is None:
                raise AssertionError(f"the prober ended with {code}: {process.stderr.read()}")

    def wait_for(self, requests: int, seconds: float = 120) -> None:
        """Return when so many more requests than now have ended."""
        with self._news:
            wanted = len(self._records) + requests
            if not self._news.wait_for(lambda: len(self._records) >= wanted or not self._reading.is_alive(), seconds):
                raise AssertionError(f"{len(self._records)} of {wanted} requests ended within {seconds:g} s")
        if len(self._records) < wanted:
            raise AssertionError("the prober has ended early")

    def records(self) -> list[Record]:
        """Return what has ended, in the order in which it was due."""
        with self._news:
            return sorted(self._records, key=lambda record: record.due)

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._news:
                self._records.append(Record(**json.loads(line)))
                self._news.notify_all()
        with self._news:
            self._news.notify_all()


@dataclass(frozen=True)
class Figures:
    """Of one run. Times are seconds, from when a request was due."""

    requests: int
    failed: int
    # How often which error was seen, with its status.
    errors: Counter[str]
    lost: list[str]
    p50: float
    p95: float
    slowest: float
    # How late the prober itself was, at most in 95 of 100 requests.
    late: float
    # From when the first failed request was due to when the last one was, or 0.
    outage: float

    @classmethod
    def of(cls, records: Sequence[Record], rows: Iterable[Row]) -> "Figures":
        """Sum up. rows: what the database holds of the run in the end."""
        failed = [record for record in records if record.error]
        times = [record.ended - record.due for record in records if not record.error] or [0.0, 0.0]
        cuts = quantiles(times, n=100, method="inclusive")
        return cls(
            requests=len(records),
            failed=len(failed),
            errors=Counter(f"{record.status or 'no answer'} {record.error}" for record in failed),
            lost=lost_writes(records, rows),
            p50=cuts[49],
            p95=cuts[94],
            late=quantiles([record.sent - record.due for record in records], n=20, method="inclusive")[-1],
            slowest=max(record.ended - record.due for record in records),
            outage=failed[-1].due - failed[0].due if failed else 0.0,
        )

    def __str__(self) -> str:
        """Return the line of a verdict."""
        errors = "".join(f"\n    {number} x {error}" for error, number in self.errors.most_common(5))
        lost = "".join(f"\n    {line}" for line in self.lost[:5])
        return (
            f"{self.requests} requests, {self.failed} failed, {len(self.lost)} writes lost; "
            f"p50 {self.p50 * 1_000:.0f}, p95 {self.p95 * 1_000:.0f}, slowest {self.slowest * 1_000:.0f} ms"
            f"{errors}{lost}"
        )


def lost_writes(records: Iterable[Record], rows: Iterable[Row]) -> list[str]:
    """Return a line for each acknowledged write that the database does not show, and for each that it shows twice.

    A write without a good answer may have happened or not.
    """
    rows, history = list(rows), dict[int, list[Record]]()
    for record in records:
        if record.item >= 0 and record.method != "GET":
            history.setdefault(record.item, []).append(record)
    present: dict[str, list[int]] = {}
    for row in rows:
        present.setdefault(row.title.rpartition("-")[0].rpartition("-")[2], []).append(row.todo_id)
    titles = {row.todo_id: row.title for row in rows}
    lost = []
    for item, writes in history.items():
        found = present.get(str(item), [])
        if len(found) > 1:
            lost.append(f"todo {item} is there {len(found)} times")
            continue
        allowed = _allowed(writes)
        seen = titles[found[0]] if found else ""
        if seen not in allowed:
            lost.append(f"todo {item} is {seen or 'not there'}, not {' or '.join(map(repr, sorted(allowed)))}")
    return lost


def _allowed(writes: Sequence[Record]) -> set[str]:
    """Return the titles that a todo may have after these writes, "" for none at all."""
    allowed = {""}
    for write in writes:
        after = "" if write.method == "DELETE" else write.title
        allowed = {after} if not write.error else allowed | {after}
    return allowed


def recovery(records: Iterable[Record], since: float) -> float:
    """Return the seconds from that moment until the last failed request was due; 0 when none was due after it."""
    return max((record.due - since for record in records if record.error and record.due > since), default=0.0)
