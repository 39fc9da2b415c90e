"""How long a save takes to be served by every replica in the cluster, and to be seen in a browser: make bench-loop."""

import argparse
import itertools
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

from bench import loop_report, machine
from bench.breakdown import Breakdown
from bench.command import measure_then_report, parse_arguments
from bench.lanes import LANES, PAGE, PAGE_FILES, PARTS
from bench.page import PageFile, open_page
from bench.replicas import GIVE_UP, Leaf, Replicas
from bench.results import Results
from bench.saves import half_and_half
from bench.summary import spell
from devenv.failure import Failure
from tests.live_update.checkout import copy_checkout
from tests.live_update.loop import Loop

# With three numbers of replicas more than 300 saves, and more than 10,000 requests, for our two lanes.
SAVES = 52
# Seconds.
LEAD, LEAD_RANGE = 0.1, 0.1
PAUSE, PAUSE_RANGE = 0.3, 0.5
# So many saves of a part may never be served before it is given up.
LOST_SAVES = 3


class ClusterLoops:
    """One run of the benchmark."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        """Prepare to write into the folder that was asked for."""
        self._run = arguments.run
        self._parts: Sequence[str] = arguments.only
        self._count: int = arguments.saves
        self._seed: int = arguments.seed
        self._output: Path = arguments.output
        self._machine = machine.describe_machine()
        self._cluster = ""

        def results(name: str, columns: Sequence[str]) -> Results:
            return Results(self._output / f"{name}.csv", columns, append=arguments.append)

        self._saves = results("loop", loop_report.SAVE_COLUMNS)
        self._breakdown = results("loop-breakdown", loop_report.BREAKDOWN_COLUMNS)
        self._page = results("loop-page", loop_report.PAGE_COLUMNS)

    def measure(self) -> None:
        """Run `make up` once for every part, and save. Raises Failure at the end when a part had to be given up."""
        failures = []
        with tempfile.TemporaryDirectory(prefix="bench-loop-") as folder:
            checkout = copy_checkout(Path(folder) / "checkout")
            leaf = Leaf(checkout, Path(folder) / "mirror")
            for part in self._parts:
                try:
                    self._measure_part(part, checkout, leaf)
                except (AssertionError, Failure, OSError, subprocess.SubprocessError) as failure:
                    print(f"\n{part} is given up: {failure}", file=sys.stderr)
                    failures.append(part)
        if failures:
            again = f"make what they need work, then: --append --output {self._output} --only {' '.join(failures)}"
            raise Failure(", ".join(failures), "not measured to the end; see above", again)

    def report(self) -> None:
        """Print tables of what there is, and write Markdown and a plot."""
        conditions = f"{machine.today()}: {self._machine}. {self._cluster}"
        loop_report.report(self._output, self._saves.rows(), self._breakdown.rows(), self._page.rows(), conditions)

    def _measure_part(self, part: str, checkout: Path, leaf: Leaf) -> None:
        lane, replicas = PARTS[part]
        print(f"\n{part}: starting `make up` {' '.join(LANES[lane].arguments)}", flush=True)
        loop = Loop(checkout, *LANES[lane].arguments, replicas=replicas)
        with loop.running():
            self._cluster = self._cluster or machine.describe_cluster()
            # The same pauses and the same order of modes for every part.
            random = Random(self._seed)  # noqa: S311 - repeatable
            if part == PAGE:
                self._measure_page(checkout, random)
            else:
                self._measure_lane(lane, replicas, leaf, random)

    def _measure_lane(self, lane: str, replicas: int, leaf: Leaf, random: Random) -> None:
        breakdown, lost = Breakdown(leaf.FILE), 0
        keys = {"run": self._run, "lane": lane, "replicas": replicas}
        try:
            with Replicas.watched(leaf) as watched:
                for mode in half_and_half(self._count, random):
                    outcome = watched.save(mode, LEAD + LEAD_RANGE * random.random())
                    self._saves.add(keys | {"mode": mode} | loop_report.outcome_columns(outcome))
                    print("never" if outcome.slowest is None else spell(outcome.slowest), end=" ", flush=True)
                    lost = _count_lost(lost, outcome.slowest)
                    breakdown.follow(outcome.saved, outcome.slowest)
                    time.sleep(PAUSE + PAUSE_RANGE * random.random())
        finally:
            for row in breakdown.rows():
                self._breakdown.add(keys | row)

    def _measure_page(self, checkout: Path, random: Random) -> None:
        files = [PageFile(checkout / "frontend", name) for name in PAGE_FILES]
        numbers, lost = itertools.count(1), 0
        with open_page() as page:
            for mode in half_and_half(self._count, random):
                for file in random.sample(files, len(files)):
                    time.sleep(PAUSE + PAUSE_RANGE * random.random())
                    edit = file.edit(next(numbers))
                    latency = page.shows(file.kind, edit, mode, GIVE_UP)
                    text = "" if latency is None else f"{latency:.1f}"
                    self._page.add({"run": self._run, "file": file.kind, "mode": mode, "milliseconds": text})
                    print(f"{file.kind} {text or 'never'}", end=" ", flush=True)
                    lost = _count_lost(lost, latency)


def _count_lost(lost: int, latency: float | None) -> int:
    lost += latency is None
    if lost == LOST_SAVES:
        raise Failure("measurement", f"{lost} saves were not served within {GIVE_UP:.0f} s", "look at it: make logs")
    return lost


def main() -> int:
    """Measure and report; return the exit status."""
    loops = ClusterLoops(parse_arguments("bench.loop", __doc__ or "", list(PARTS), SAVES))
    return measure_then_report(loops.measure, loops.report)


if __name__ == "__main__":
    sys.exit(main())
