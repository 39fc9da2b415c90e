"""How soon every replica in the cluster equals the checkout after random edits: make bench-edits."""

import argparse
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from bench import machine
from bench.command import UNPUBLISHED, measure_then_report
from bench.equality import Outcome, follow, logs, observers
from bench.lanes import LANES, Lane
from bench.report import table, write_markdown
from bench.results import Results
from bench.summary import Row, milliseconds, percentile, spell
from devenv.failure import Failure
from tests.live_update.checkout import copy_checkout
from tests.live_update.developer import FOLDERS_AND_SLOW_SAVES, KINDS, Developer
from tests.live_update.loop import Loop
from tests.steady import busy_cores

ROUNDS = 300
# Seconds in which a replica is to become equal, and after which it is given up.
LIMIT, GIVE_UP = 1.0, 30.0
# Seconds from one edit to the next; Tilt copies for longer, so that now and then an earlier save is still under way.
PAUSE, PAUSE_RANGE = 0.2, 2.0
COLUMNS = (
    "run",
    "part",
    "seed",
    "busy",
    "round",
    "kind",
    "milliseconds",
    "served_ms",
    "differed_ms",
    "reverted_ms",
    "wrong",
    "load",
)

PERCENTILES = (50, 95, 100)
HEADER = (
    *("Part", "Seed", "Busy", "Load", "Rounds"),
    *("Equal: p50", "p95", "max", "> 1 s"),
    *("Served: p50", "p95", "max", "> 1 s"),
    *("Again different", "latest", "Again old", "Wrong"),
)

METHOD = """\
Each round: an edit, mostly of several modules, in a copy of the checkout in which `make up` runs with two replicas. A
probe in each pod digests the files of backend/app there, and asks the server for the value of each module and for its
code. *Equal*: from the end of the edit until the files of every replica equal the checkout's. *Served*: until every
replica answers with all values and the code of the checkout as well. *Again different*: rounds in which a file was
different for a moment after all had been equal, as while Tilt unlinks it and writes it again; *latest*: when that was
last seen. *Again old*: rounds in which an answer was wrong after it had been right. *Wrong*: rounds in which a replica
was not right after {give_up:.0f} s. The next edit comes 0.2 to 2.2 s after the last one, while Tilt may still be
copying. *Load*: the machine's load average, median. Milliseconds; percentiles are nearest-rank."""


@dataclass(frozen=True)
class Part:
    """Kinds of edits, and the ways by which they reach the pods."""

    kinds: Sequence[str]
    lane: Lane


PARTS = {
    f"{name}-{lane}": Part(tuple(kinds), LANES[lane])
    for lane in ("fast", "tilt")
    for name, kinds in (("torn", FOLDERS_AND_SLOW_SAVES), ("all", KINDS))
}
FAST = [name for name, part in PARTS.items() if part.lane is LANES["fast"]]


class RandomEdits:
    """One run of the benchmark."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        """Prepare to write into the folder that was asked for."""
        self._arguments = arguments
        self._output: Path = arguments.output
        self._machine = machine.describe_machine()
        self._results = Results(self._output / "edits.csv", COLUMNS, append=arguments.append)

    def measure(self) -> None:
        """Run `make up` once for every part. Raises Failure at the end when a replica was wrong."""
        wrong = 0
        with tempfile.TemporaryDirectory(prefix="bench-edits-") as folder:
            checkout = copy_checkout(Path(folder) / "checkout")
            for name in self._arguments.only:
                lane = PARTS[name].lane
                print(f"\n{name}: seed {self._arguments.seed}, `make up` {' '.join(lane.arguments)}", flush=True)
                with Loop(checkout, *lane.arguments).running():
                    wrong += self._measure_part(name, checkout)
        if wrong:
            raise Failure("equality", f"{wrong} rounds were wrong; see the logs in {self._output}", "mend the cause")

    def report(self) -> None:
        """Print a table of what there is, and write it."""
        rows = self._results.rows()
        if rows:
            busy = "every core kept busy by an endless loop" if self._arguments.busy else "no load of its own"
            method = METHOD.format(give_up=GIVE_UP)
            texts = [summarise(rows), method, f"{machine.today()}: {self._machine}; {busy}."]
            print("\n", *texts, sep="\n\n")
            write_markdown(self._output / "edits.md", "make bench-edits", texts)

    def _measure_part(self, name: str, checkout: Path) -> int:
        random = Random(self._arguments.seed)  # noqa: S311 - repeatable
        wrong = 0
        with (
            Developer.at_work(checkout, random) as developer,
            observers() as replicas,
            busy_cores() if self._arguments.busy else nullcontext(),
        ):
            follow(replicas, developer, GIVE_UP, watched=0)
            for number in range(1, self._arguments.rounds + 1):
                began, kind = time.time(), random.choice(PARTS[name].kinds)
                developer.edit(kind)
                outcome = follow(replicas, developer, GIVE_UP, PAUSE + PAUSE_RANGE * random.random())
                keys = {"run": self._arguments.run, "part": name, "seed": self._arguments.seed}
                keys |= {"busy": int(self._arguments.busy), "round": number, "kind": kind}
                self._results.add(keys | columns(outcome))
                print("never" if outcome.equal is None else spell(outcome.equal), end=" ", flush=True)
                wrong += outcome.is_wrong
                if outcome.is_wrong or outcome.reverted or outcome.equal is None or outcome.equal > 1000 * LIMIT:
                    self._keep_logs(f"{name}-{number}", kind, outcome, began)
        return wrong

    def _keep_logs(self, name: str, kind: str, outcome: Outcome, began: float) -> None:
        ended = (
            f"{name}, {kind}: ended {time.time() - (time.monotonic() - outcome.ended) - began:.3f} s after its begin"
        )
        path = self._output / f"edits-{name}.log"
        path.write_text("\n".join([ended, *map(str, outcome.looks), logs(began)]))
        print(f"\n{name}, {kind}: logs in {path}", flush=True)


def columns(outcome: Outcome) -> dict[str, object]:
    """Return the columns that an edit makes known; no milliseconds for what was not seen."""
    times = {"milliseconds": outcome.equal, "served_ms": outcome.served}
    times |= {"differed_ms": outcome.differed, "reverted_ms": outcome.reverted}
    known = {name: "" if value is None else f"{value:.1f}" for name, value in times.items()}
    return {**known, "wrong": int(outcome.is_wrong), "load": f"{os.getloadavg()[0]:.1f}"}


def summarise(rows: Sequence[Row]) -> str:
    """Return a table with a line for each part, seed and load."""
    groups: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row["part"], row["seed"], row["busy"]].append(row)
    return table(HEADER, [_line(*key, group) for key, group in groups.items()])


def _line(part: str, seed: str, busy: str, rows: Sequence[Row]) -> Sequence[object]:
    equal, served = ([milliseconds(row[name]) for row in rows] for name in ("milliseconds", "served_ms"))
    differed, reverted = ([float(row[name]) for row in rows if row[name]] for name in ("differed_ms", "reverted_ms"))
    return (
        part,
        seed,
        "yes" if int(busy) else "no",
        f"{percentile([float(row['load']) for row in rows], 50):.0f}",
        len(rows),
        *(spell(percentile(equal, percent)) for percent in PERCENTILES),
        sum(value > 1000 * LIMIT for value in equal),
        *(spell(percentile(served, percent)) for percent in PERCENTILES),
        sum(value > 1000 * LIMIT for value in served),
        len(differed),
        spell(max(differed)) if differed else "-",
        len(reverted),
        sum(int(row["wrong"]) for row in rows),
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.edits", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=FAST, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of each part (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the edits and the pauses (%(default)s)")
    parser.add_argument("--busy", action="store_true", help="keep every core busy by an endless loop meanwhile")
    parser.add_argument("--append", action="store_true", help="go on with the rows of an earlier run")
    parser.add_argument("--output", type=Path, default=UNPUBLISHED, help="folder (.devenv/bench)")
    arguments = parser.parse_args()
    arguments.run = datetime.now(UTC).isoformat(timespec="seconds")
    return arguments


def main() -> int:
    """Measure and report; return the exit status."""
    edits = RandomEdits(_arguments())
    return measure_then_report(edits.measure, edits.report)


if __name__ == "__main__":
    sys.exit(main())
