"""The table of docs/reliability.md, from what drills on this machine have kept: python -m tests.drills.report."""

import csv
from collections import defaultdict
from collections.abc import Iterable

from devenv import paths
from tests.drills.verdict import RESULTS

PAGE = paths.CHECKOUT / "docs" / "reliability.md"
BEGIN, END = "<!-- drills: written by python -m tests.drills.report -->", "<!-- end of drills -->"
HEAD = "| fault | where | load | runs | requests | failed | writes lost | p95, slowest | failing | recovered |"
LINE = "|---|---|---|--:|--:|--:|--:|--:|--:|--:|"

Row = dict[str, str]


def main() -> None:
    with RESULTS.open(newline="") as file:
        runs = defaultdict[str, list[Row]](list)
        for row in csv.DictReader(file):
            runs[row["drill"]].append(row)
    before, _, rest = PAGE.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text("\n".join([f"{before}{BEGIN}", HEAD, LINE, *map(line, runs.values()), f"{END}{after}"]))


def line(runs: list[Row]) -> str:
    """Return the line of one drill: sums of what is counted, the worst of what is measured."""
    first, where = runs[0], "dev" if runs[0]["drill"].endswith("dev") else "ci"
    sums = [str(sum(int(run[name]) for run in runs)) for name in ("requests", "failed", "lost")]
    times = f"{worst(runs, 'p95_ms'):.0f}, {worst(runs, 'slowest_ms'):.0f} ms"
    lasting = [f"{worst(runs, name):.1f} s" if worst(runs, name) else "-" for name in ("outage_s", "recovery_s")]
    return f"| {' | '.join([first['fault'], where, first['load'], str(len(runs)), *sums, times, *lasting])} |"


def worst(runs: Iterable[Row], name: str) -> float:
    return max(float(run[name] or 0) for run in runs)


if __name__ == "__main__":
    main()
