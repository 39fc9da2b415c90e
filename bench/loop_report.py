"""What bench.loop found, as tables and a plot."""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

from bench import breakdown, machine
from bench.history import Kind
from bench.lanes import LANES, PAGE_FILES, REPLICAS
from bench.replicas import Outcome
from bench.report import Budget, Panel, Strip, budget_table, plot, table, write_markdown
from bench.summary import COLUMNS, Row, Summary, milliseconds, percentile, save_columns, spell

SAVE_COLUMNS = ("run", "lane", "replicas", "mode", "quickest_ms", *COLUMNS, "within_second", "lost_in_pod")
BREAKDOWN_COLUMNS = ("run", "lane", "replicas", *breakdown.PARTS)
PAGE_COLUMNS = ("run", "file", "mode", "milliseconds")
PACKAGES = ("uvicorn", "fastapi", "sqlmodel", "playwright")
BASELINE = "uvicorn"

# Lane, replicas, percentile: at most as many milliseconds.
BUDGETS = (
    ("tilt", 1, 50, 400),
    ("tilt", 2, 50, 500),
    ("tilt", 2, 95, 650),
    ("fast", 2, 50, 100),
    ("fast", 2, 95, 150),
    ("fast", 4, 50, 160),
)
# Lane: at most as many percent of the baseline's median.
SHARES = {"fast": 10, "tilt": 33}
PAGE_BUDGET = 600

METHOD = """\
Each row: {saves} saves of one string in backend/app/routers/todos.py, half of them atomic (written beside and
renamed), half in place, in a copy of the checkout in which `make up` runs. Latency: from the save until every replica
has answered with the new code, each asked directly over one kept connection by a probe in its pod; the time is taken
there, by the clock that containers share with the host. Requests: 20 new connections a second, and 4 kept ones with
10 requests a second each, all the time, through localhost:8080, where nginx picks the pod. *Failed*: refused, reset,
closed without an answer, not a 200, no answer in 10 s. *Wrong*: older code than the same replica had shown before.
*Stale*: sent after the save and answered by the old code. *Dropped*: idle kept connections that were closed without a
word. *Lost in the pod*: the probes' own requests that were lost with their connection; nginx sends such a one again.
The page: from the save to the arrival of the browser's report of the frame that shows it. Percentiles are nearest-
rank."""

BREAKDOWN_METHOD = """\
Where the time goes, medians in milliseconds. *Debounce*: from the save to the event of Tilt's file watch, which waits
for 200 ms without another change. *Dispatch*: from there to the start of the live update. *Copy*: the live update,
one exec for each pod, one pod after the other. All three come from the timestamps in Tilt's API. *Reload*: as
warmfork logged it, in the pod where it took longest. A pod reloads while the next one gets its copy, so the parts may
add up to more than the whole. In the fast lane Tilt's copy comes after the code is served, and changes nothing."""

type Part = tuple[str, int]


def outcome_columns(outcome: Outcome) -> dict[str, object]:
    """Return the columns that a save makes known."""
    quickest = "" if outcome.quickest is None else f"{outcome.quickest:.1f}"
    counts = {"within_second": outcome.within_second, "lost_in_pod": outcome.lost}
    return {"quickest_ms": quickest, **counts, **save_columns(outcome.slowest, outcome.tallies)}


def report(output: Path, saves: Sequence[Row], parts: Sequence[Row], page: Sequence[Row], conditions: str) -> None:
    """Print tables of what there is, and write loop.md and loop.svg."""
    groups = _group(saves)
    texts: list[str] = []
    if groups:
        remark = METHOD.format(saves=max(map(len, groups.values())))
        texts += [_latency_table(groups), _failure_table(groups), remark]
    if parts:
        texts += [_breakdown_table(_group(parts)), BREAKDOWN_METHOD]
    if page:
        texts += [_page_table(page)]
    if not texts:
        return
    texts += [budget_table(_budgets(groups, page)), conditions, machine.describe_packages(PACKAGES) + "."]
    print("\n", *texts, sep="\n\n")
    write_markdown(output / "loop.md", "make bench-loop", texts)
    plot(output / "loop.svg", _panels(groups, page), "milliseconds from the save until every replica serves it")
    print(f"\nWritten: loop.csv, loop-breakdown.csv, loop-page.csv, loop.md and loop.svg in {output}")


def _group(rows: Sequence[Row]) -> dict[Part, list[Row]]:
    """Return the rows by lane and replicas, replicas first."""
    parts = [(lane, replicas) for replicas, lane in product(REPLICAS, LANES)]
    groups = {part: [row for row in rows if (row["lane"], int(row["replicas"])) == part] for part in parts}
    return {part: group for part, group in groups.items() if group}


def _by_file(page: Sequence[Row]) -> dict[str, list[float]]:
    """Return the latencies by kind of file."""
    kinds = [name.rpartition(".")[2] for name in PAGE_FILES]
    latencies = {kind: [milliseconds(row["milliseconds"]) for row in page if row["file"] == kind] for kind in kinds}
    return {kind: values for kind, values in latencies.items() if values}


def _percentiles(latencies: Sequence[float]) -> list[str]:
    return [spell(percentile(latencies, percent)) for percent in (50, 95, 100)]


def _share(groups: Mapping[Part, Sequence[Row]], part: Part) -> float | None:
    """Return the part's median in percent of the baseline's with as many replicas."""
    baseline = groups.get((BASELINE, part[1]))
    return 100 * Summary.of(groups[part]).median / Summary.of(baseline).median if baseline else None


def _latency_table(groups: Mapping[Part, Sequence[Row]]) -> str:
    body = []
    for part, rows in groups.items():
        share = _share(groups, part)
        times = f"{100 / share:.1f}" if share else "-"
        body.append((LANES[part[0]].name, part[1], len(rows), *_percentiles(Summary.of(rows).latencies), times))
    return table(("Lane", "Replicas", "n", "p50 ms", "p95 ms", "max ms", "times sooner than uvicorn"), body)


def _failure_table(groups: Mapping[Part, Sequence[Row]]) -> str:
    header = (
        "Lane",
        "Replicas",
        "within 1 s",
        "new",
        "failed",
        "kept",
        "failed",
        "dropped",
        "wrong",
        "stale",
        "lost in the pod",
    )
    body = []
    for (lane, replicas), rows in groups.items():
        summary = Summary.of(rows)
        counts = [count for kind in Kind for count in (summary.requests[kind], summary.failed[kind])]
        within, lost = (sum(int(row[column]) for row in rows) for column in ("within_second", "lost_in_pod"))
        faults = (summary.dropped, summary.wrong, summary.stale, lost)
        body.append((LANES[lane].name, replicas, within, *counts, *faults))
    return table(header, body)


def _breakdown_table(groups: Mapping[Part, Sequence[Row]]) -> str:
    body = []
    for (lane, replicas), rows in groups.items():
        known = [[float(row[part]) for row in rows if row[part]] for part in breakdown.PARTS]
        medians = (spell(percentile(values, 50)) if values else "-" for values in known)
        body.append((LANES[lane].name, replicas, len(rows), *medians))
    return table(("Lane", "Replicas", "n", *breakdown.PARTS), body)


def _page_table(page: Sequence[Row]) -> str:
    rows = [(kind, len(latencies), *_percentiles(latencies)) for kind, latencies in _by_file(page).items()]
    return table(("Saved, visible in the open page", "n", "p50 ms", "p95 ms", "max ms"), rows)


def _budgets(groups: Mapping[Part, Sequence[Row]], page: Sequence[Row]) -> list[Budget]:
    budgets = []
    for lane, replicas, percent, limit in BUDGETS:
        if rows := groups.get((lane, replicas)):
            measured = percentile(Summary.of(rows).latencies, percent)
            budgets.append(Budget(f"{LANES[lane].name}, {replicas} replicas, p{percent}", limit, measured, "ms"))
    for lane, replicas in groups:
        if lane in SHARES and (share := _share(groups, (lane, replicas))):
            name = f"{LANES[lane].name}, {replicas} replicas, share of uvicorn's p50"
            budgets.append(Budget(name, SHARES[lane], share, "%"))
    for lane in SHARES:
        if rows := [row for (name, _), rows in groups.items() if name == lane for row in rows]:
            summary = Summary.of(rows)
            faults = sum(summary.failed.values()) + summary.wrong
            within = sum(int(row["within_second"]) for row in rows)
            name = f"{LANES[lane].name}, failed or wrong, {within} requests within 1 s after {len(rows)} saves"
            budgets.append(Budget(name, 0, faults, ""))
    for kind, latencies in _by_file(page).items():
        budgets.append(Budget(f"{kind} visible, p50", PAGE_BUDGET, percentile(latencies, 50), "ms"))
    return budgets


def _panels(groups: Mapping[Part, Sequence[Row]], page: Sequence[Row]) -> list[Panel]:
    panels = []
    for replicas in REPLICAS:
        parts = [part for part in groups if part[1] == replicas]
        strips = [
            Strip(LANES[lane].name, Summary.of(groups[lane, replicas]).latencies, own=LANES[lane].own)
            for lane, replicas in parts
        ]
        panels.append(Panel(f"{replicas} replica{'s' * (replicas > 1)}", strips))
    strips = [Strip(kind, latencies, own=True) for kind, latencies in _by_file(page).items()]
    panels.append(Panel("The open page, 2 replicas", strips))
    return [panel for panel in panels if panel.strips]
