"""`make test-steady`: the suites again and again, on busy cores and in other orders, and a table of what failed."""

import argparse
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REPORTS = ROOT / ".devenv" / "steady"
# It ends with the process that has started it, however that ends.
ENDLESS_LOOP = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: pass"
TESTS = ("-p", "tests.selection", "--numprocesses", "auto")
# The order changes; the numbers that tests draw at random are theirs.
SHUFFLED = ("-p", "randomly", "--randomly-dont-reset-seed")


@dataclass(frozen=True)
class Round:
    """A way to run tests, and how often."""

    name: str
    arguments: Sequence[str]
    times: int
    is_busy: bool


ROUNDS = (
    Round("busy", TESTS, 5, is_busy=True),
    Round("live-busy", ("tests/live_update",), 3, is_busy=True),
    Round("shuffled", (*TESTS, *SHUFFLED), 5, is_busy=False),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rounds", nargs="*", help=f"some of {', '.join(one.name for one in ROUNDS)}; all by default")
    names = parser.parse_args().rounds or [one.name for one in ROUNDS]
    if unknown := set(names) - {one.name for one in ROUNDS}:
        parser.error(f"there is no round {', '.join(sorted(unknown))}")
    REPORTS.mkdir(parents=True, exist_ok=True)
    failures: Counter[tuple[str, str]] = Counter()
    reasons: dict[tuple[str, str], str] = {}
    runs = 0
    for one in ROUNDS:
        if one.name not in names:
            continue
        for number in range(1, one.times + 1):
            runs += 1
            with busy_cores() if one.is_busy else nullcontext():
                failed = run(f"{one.name}-{number}", one.arguments)
            failures.update((one.name, test) for test in failed)
            reasons.update({(one.name, test): reason for test, reason in failed.items()})
    print(f"\n{runs} runs, {len(failures)} tests failed in any of them; logs and reports are in {REPORTS}")
    for (name, test), count in sorted(failures.items()):
        print(f"{name:10} {count} times  {test}\n{'':20}{reasons[name, test]}")
    return 1 if failures else 0


def run(name: str, arguments: Sequence[str]) -> dict[str, str]:
    """Run the tests once; return why those failed that did, or the run itself where it did not get that far."""
    report = REPORTS / f"{name}.xml"
    report.unlink(missing_ok=True)
    began = time.monotonic()
    with (REPORTS / f"{name}.log").open("wb") as log:
        code = subprocess.run(
            [sys.executable, "-m", "pytest", *arguments, f"--junitxml={report}"],
            cwd=ROOT,
            check=False,
            stdout=log,
            stderr=subprocess.STDOUT,
        ).returncode
    failed = failed_tests(report) if report.exists() else {}
    if code and not failed:
        failed = {"the run itself": f"exit code {code}"}
    print(f"{name}: {time.monotonic() - began:.0f} s, {len(failed)} failed", *failed, sep="\n  ", flush=True)
    return failed


def failed_tests(report: Path) -> dict[str, str]:
    """Return the names of tests with a failure or an error, as JUnit's report has them, with the first line of why."""
    found: dict[str, str] = {}
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - pytest has just written it
        for trouble in (*case.iterfind("failure"), *case.iterfind("error")):
            reason = trouble.get("message", "").partition("\n")[0]
            found.setdefault(f"{case.get('classname')}.{case.get('name')}", reason)
    return found


@contextmanager
def busy_cores(number: int = os.cpu_count() or 1) -> Iterator[None]:
    """Keep cores busy by an endless loop each, at the priority of the tests; all of them by default."""
    loops = [subprocess.Popen([sys.executable, "-c", ENDLESS_LOOP]) for _ in range(number)]
    try:
        yield
    finally:
        for loop in loops:
            loop.terminate()
            loop.wait()


if __name__ == "__main__":
    sys.exit(main())
