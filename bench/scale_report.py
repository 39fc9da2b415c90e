"""What a run of bench.scale has found: tables, budgets and a plot."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import machine, measured_save
from bench.generated.application import Kind
from bench.report import Budget, Panel, Strip, budget_table, plot, table, write_markdown
from bench.servers import WARMFORK
from bench.summary import COLUMNS as SAVE_COLUMNS
from bench.summary import Row, Summary, percentile, spell

_HEAD = ("run", "server", "modules")
# Of each CSV file.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "saves": (*_HEAD, "kind", "mode", "way", "differing", *SAVE_COLUMNS),
    "starts": (*_HEAD, "number", "start_ms"),
    "servers": (*_HEAD, "processes", "memory_mb", "idle_percent", "restarts"),
    "processor": (*_HEAD, "kind", "milliseconds"),
    "plain": ("run", "modules", "milliseconds"),
}
BASELINE = "uvicorn --reload"
BODIES = (Kind.LEAF, Kind.SHARED)
# Milliseconds.
BODY_BUDGETS = {50: 20, 95: 40}
# Times what it is compared with.
DEPENDENTS, START, MEMORY = 1.25, 1.15, 1.5
DEPENDENTS_SIZE, START_SIZE = 350, 1_000
PACKAGES = ("uvicorn", "watchfiles", "fastapi-cli", "granian", "fastapi", "sqlmodel", "sqlalchemy", "pydantic")

METHOD = """\
Generated applications: domains of ten modules with tables, schemas, repositories, services, and routers that are
included four deep; half of the folders without `__init__.py`. Each row: saves of one kind one after the other, half of
them atomic (written beside and renamed), half in place, for jurigged all in place; the servers take turns in an order
shuffled for every round, each once it is quiet. A server that imports everything anew is asked for one kind; one that
did not serve an edit within 30 s is asked for no other of that kind.

{saved}

*Other states*: answers to the addresses of other kinds, after a save, that did not show what is saved. *Start*: to the
first right answer, median; bytecode is there except for the first, which is not counted where there are others.
*Processor*: for each save until all is quiet, mean of saves without other requests. *Dependents*: executing the edited
module and what depends on it again, in a fork of a process without a reloader."""


@dataclass(frozen=True)
class Measured:
    """The rows of each of COLUMNS."""

    saves: Sequence[Row]
    starts: Sequence[Row]
    servers: Sequence[Row]
    processor: Sequence[Row]
    plain: Sequence[Row]


def report(output: Path, measured: Measured, where: str) -> None:
    """Print tables of what there is, and write Markdown and a plot."""
    cells = dict(_cells(measured.saves))
    if not cells:
        return
    parts = [_latency_table(cells, measured.processor), _failure_table(cells), _server_table(measured)]
    parts.append(budget_table(list(_budgets(cells, measured))))
    print("\n", *parts, sep="\n\n")
    remarks = [METHOD.format(saved=measured_save.METHOD), f"{machine.today()}: {where}."]
    remarks.append(machine.describe_packages(PACKAGES) + ".")
    write_markdown(output / "scale.md", "make bench-scale", [*parts, *remarks])
    plot(output / "scale.svg", _panels(cells), "milliseconds from the save to the first new answer")
    print(f"\nWritten: scale.md, scale.svg and scale-*.csv in {output}")


# Server, modules and kind.
type Cells = Mapping[tuple[str, int, str], Sequence[Row]]


def _cells(rows: Iterable[Row]) -> Iterator[tuple[tuple[str, int, str], list[Row]]]:
    """Yield the saves of each server, size and kind: the largest first, and of a size in the order they were made."""
    cells: dict[tuple[str, int, str], list[Row]] = {}
    for row in rows:
        cells.setdefault((row["server"], int(row["modules"]), row["kind"]), []).append(row)
    order = {name: number for number, name in enumerate(dict.fromkeys(server for server, _, _ in cells))}
    kinds = list(Kind)
    yield from sorted(cells.items(), key=lambda cell: (-cell[0][1], order[cell[0][0]], kinds.index(Kind(cell[0][2]))))


def _latency_table(cells: Cells, processor: Sequence[Row]) -> str:
    header = ("Modules", "Server", "Edit", "n", "p50 ms", "p95 ms", "max ms", "way", "processor ms")
    body = []
    for (server, modules, kind), rows in cells.items():
        latencies = Summary.of(rows).latencies
        numbers = (spell(percentile(latencies, percent)) for percent in (50, 95, 100))
        ways = Counter(row["way"] for row in rows if row["way"]).most_common()
        way = (
            ", ".join(f"{name} {count}" for name, count in ways) if len(ways) > 1 else "".join(name for name, _ in ways)
        )
        took = [
            float(row["milliseconds"]) for row in processor if _key(row) == (server, modules) and row["kind"] == kind
        ]
        mean = f"{sum(took) / len(took):.0f}" if took else "-"
        body.append((modules, server, kind, len(rows), *numbers, way or "-", mean))
    return table(header, body)


def _failure_table(cells: Cells) -> str:
    header = ("Modules", "Server", "saves", "requests", "failed", "dropped", "wrong", "stale", "other states")
    body = []
    for server, modules in dict.fromkeys((server, modules) for server, modules, _ in cells):
        rows = [row for cell, found in cells.items() if cell[:2] == (server, modules) for row in found]
        summary = Summary.of(rows)
        requests, failed = sum(summary.requests.values()), sum(summary.failed.values())
        counts = (requests, failed, summary.dropped, summary.wrong, summary.stale, _differing(rows))
        body.append((modules, server, len(rows), *counts))
    return table(header, body)


def _server_table(measured: Measured) -> str:
    header = ("Modules", "Server", "start ms", "processes", "MB (PSS)", "idle, % of a core", "restarts")
    costs = {_key(row): row for row in measured.servers}
    body = []
    keys = dict.fromkeys(map(_key, [*measured.starts, *measured.servers]))
    for server, modules in sorted(keys, key=lambda key: -key[1]):
        cost = costs.get((server, modules), {})
        start = _start(measured.starts, server, modules)
        body.append((modules, server, spell(start), *(cost.get(name) or "-" for name in COLUMNS["servers"][3:])))
    return table(header, body)


def _budgets(cells: Cells, measured: Measured) -> Iterator[Budget]:
    for (server, modules, kind), rows in cells.items():
        if server == WARMFORK and kind in BODIES:
            for percent, most in BODY_BUDGETS.items():
                latency = percentile(Summary.of(rows).latencies, percent)
                yield Budget(f"{kind}, {modules} modules, p{percent}", most, latency, "ms")
    dependents = [float(row["milliseconds"]) for row in measured.plain if int(row["modules"]) == DEPENDENTS_SIZE]
    if dependents and (routes := cells.get((WARMFORK, DEPENDENTS_SIZE, Kind.ROUTE))):
        limit = DEPENDENTS * percentile(dependents, 50)
        name = f"{Kind.ROUTE} in a leaf, {DEPENDENTS_SIZE} modules, p50, {DEPENDENTS} times its dependents"
        yield Budget(name, limit, Summary.of(routes).median, "ms")
    starts = {server: _start(measured.starts, server, START_SIZE) for server in (WARMFORK, BASELINE)}
    if all(starts.values()):
        name = f"start, {START_SIZE} modules, {START} times {BASELINE}"
        yield Budget(name, START * starts[BASELINE], starts[WARMFORK], "ms")
    memory = {_key(row): float(row["memory_mb"]) for row in measured.servers}
    for (server, modules), megabytes in memory.items():
        if server == WARMFORK and (theirs := memory.get((BASELINE, modules))):
            yield Budget(f"memory, {modules} modules, {MEMORY} times {BASELINE}", MEMORY * theirs, megabytes, "MB")
    own_rows = [row for (server, _, _), found in cells.items() if server == WARMFORK for row in found]
    total = Summary.of(own_rows)
    faults = sum(total.failed.values()) + total.wrong + total.dropped + _differing(own_rows)
    requests = sum(total.requests.values())
    yield Budget(f"failed, wrong or dropped of {requests} requests to warmfork in {len(own_rows)} saves", 0, faults, "")


def _panels(cells: Cells) -> list[Panel]:
    panels = []
    for size in dict.fromkeys(modules for _, modules, _ in cells):
        strips = [
            Strip(f"{server}: {kind}", Summary.of(rows).latencies, own=server == WARMFORK)
            for (server, modules, kind), rows in cells.items()
            if modules == size and (server == WARMFORK or kind == Kind.LEAF)
        ]
        panels.append(Panel(f"{size} modules", strips))
    return panels


def _key(row: Row) -> tuple[str, int]:
    return row["server"], int(row["modules"])


def _start(rows: Iterable[Row], server: str, modules: int) -> float:
    """Return the median of the starts, without the first if there are others; 0 without any."""
    starts = [(int(row["number"]), float(row["start_ms"])) for row in rows if _key(row) == (server, modules)]
    later = [took for number, took in starts if number] or [took for _, took in starts]
    return percentile(later, 50) if later else 0


def _differing(rows: Iterable[Row]) -> int:
    return sum(int(row["differing"]) for row in rows)
