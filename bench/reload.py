"""How long a save takes to be served by development servers on this machine: python -m bench.reload."""

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random

from bench import machine, measured_save
from bench.command import measure_then_report, parse_arguments
from bench.history import Judge, Kind
from bench.report import Budget, Panel, Strip, budget_table, plot, table, write_markdown
from bench.results import Results
from bench.sample_application import EDITED, LEAF, ROOT, SampleApplication
from bench.saves import Mode, half_and_half
from bench.servers import COMMANDS, WARMFORK, Server
from bench.summary import COLUMNS, Row, Summary, milliseconds, percentile, spell

SAVES = 40
BASELINE = "uvicorn"
PACKAGES = (
    "uvicorn",
    "watchfiles",
    "fastapi-cli",
    "granian",
    "hypercorn",
    "fastapi",
    "sqlmodel",
    "sqlalchemy",
    "pydantic",
)

# Seconds.
SETTLE, IDLE = 3.0, 10.0

SAVE_COLUMNS = ("run", "scenario", "file", "mode", *COLUMNS)
PROCESS_COLUMNS = ("run", "scenario", "processes", "parent_mb", "children_mb", "idle_percent")


@dataclass(frozen=True)
class Scenario:
    """A server, the size of its application, and which of its files are edited."""

    server: str
    routes: int
    edited: str
    files: Sequence[str]


LEAF_AGAIN = "same leaf file again"
SCENARIOS = {
    **{name.partition(" ")[0]: Scenario(name, 10, LEAF_AGAIN, (LEAF,)) for name in COMMANDS},
    "random": Scenario(WARMFORK, 10, "random file of 5", EDITED),
    "models-10": Scenario(WARMFORK, 10, "models.py", (ROOT,)),
    "leaf-50": Scenario(WARMFORK, 50, LEAF_AGAIN, (LEAF,)),
    "models-50": Scenario(WARMFORK, 50, "models.py", (ROOT,)),
    "leaf-200": Scenario(WARMFORK, 200, LEAF_AGAIN, (LEAF,)),
    "models-200": Scenario(WARMFORK, 200, "models.py", (ROOT,)),
}
# Of a scenario: the percentile may be at most as many milliseconds.
BUDGETS = (("warmfork", 50, 60), ("warmfork", 95, 95), ("random", 50, 100), ("random", 95, 125), ("leaf-200", 50, 120))

METHOD = """\
Each row: {saves} saves, half of them atomic (written beside and renamed), half in place. The servers take turns in
one run, in an order shuffled for every round. {saved}"""


class Reloads:
    """One run of the benchmark."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        """Prepare; `machine` is described as it is now."""
        self._arguments = arguments
        self._random = Random(arguments.seed)  # noqa: S311 - repeatable
        self._machine = machine.describe_machine()
        self._saves = Results(arguments.output / "reload.csv", SAVE_COLUMNS, append=arguments.append)
        self._processes = Results(arguments.output / "reload-processes.csv", PROCESS_COLUMNS, append=arguments.append)

    def measure(self) -> None:
        """Start every server, edit each once a round, and stop them."""
        modes = {name: half_and_half(self._arguments.saves, self._random) for name in self._arguments.only}
        with tempfile.TemporaryDirectory(prefix="bench-reload-") as folder, ExitStack() as stack:
            servers = {name: stack.enter_context(_server(SCENARIOS[name], Path(folder) / name)) for name in modes}
            idle = _idle_percent(servers)
            for number in range(self._arguments.saves):
                print(f"round {number + 1} of {self._arguments.saves}", end=":", flush=True)
                for name in self._random.sample(list(servers), len(servers)):
                    self._save(name, servers[name], modes[name][number])
                print()
                for name in [name for name, server in servers.items() if server.has_ended]:
                    print(f"{name} ended by itself; its last lines:\n{servers.pop(name).tail()}")
            time.sleep(1)
            for name, server in servers.items():
                self._record_processes(name, server, idle[name])

    def report(self) -> None:
        """Print tables of what there is, and write Markdown and a plot."""
        scenarios = _group(self._saves.rows())
        if not scenarios:
            return
        parts = [_latency_table(scenarios), _failure_table(scenarios)]
        parts += [_process_table(self._processes.rows()), budget_table(_budgets(scenarios))]
        print("\n", *parts, sep="\n\n")
        output = self._arguments.output
        saves = max(len(rows) for rows in scenarios.values())
        remarks = [
            METHOD.format(saves=saves, saved=measured_save.METHOD),
            f"{machine.today()}: {self._machine}.",
            machine.describe_packages(PACKAGES) + ".",
        ]
        write_markdown(output / "reload.md", "make bench-reload", [*parts, *remarks])
        plot(output / "reload.svg", _panels(scenarios), "milliseconds from the save to the first new answer")
        print(f"\nWritten: reload.csv, reload-processes.csv, reload.md and reload.svg in {output}")

    def _save(self, name: str, server: Server[SampleApplication], mode: Mode) -> None:
        judge = Judge(server.application.version)
        file = self._random.choice(SCENARIOS[name].files)
        edit = server.application.edit(file)
        asked = measured_save.target(server.port, "/version")
        counts = measured_save.measure_save(asked, judge, edit, mode, self._random)
        self._saves.add({"run": self._arguments.run, "scenario": name, "file": file, "mode": mode, **counts})
        print(f" {name} {spell(milliseconds(counts['milliseconds']))}", end="", flush=True)

    def _record_processes(self, name: str, server: Server[SampleApplication], idle: float) -> None:
        parent, *children = server.processes()
        self._processes.add(
            {
                "run": self._arguments.run,
                "scenario": name,
                "processes": 1 + len(children),
                "parent_mb": f"{parent.memory / 1e6:.0f}",
                "children_mb": f"{sum(child.memory for child in children) / 1e6:.0f}",
                "idle_percent": f"{idle:.1f}",
            }
        )


def _server(scenario: Scenario, folder: Path) -> Server[SampleApplication]:
    print(f"starting {scenario.server} with {scenario.routes} routes")
    return Server(scenario.server, SampleApplication(folder, scenario.routes))


def _idle_percent(servers: Mapping[str, Server[SampleApplication]]) -> dict[str, float]:
    """Return what share of one core each server takes while nothing is asked of it."""

    def seconds() -> dict[str, float]:
        return {name: sum(process.seconds for process in server.processes()) for name, server in servers.items()}

    time.sleep(SETTLE)
    before = seconds()
    time.sleep(IDLE)
    return {name: 100 * (after - before[name]) / IDLE for name, after in seconds().items()}


def _group(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return the rows by scenario, in the order of SCENARIOS."""
    groups = {name: [row for row in rows if row["scenario"] == name] for name in SCENARIOS}
    return {name: group for name, group in groups.items() if group}


def _label(name: str) -> tuple[str, str, int]:
    scenario = SCENARIOS[name]
    return scenario.server, scenario.edited, scenario.routes


def _latency_table(scenarios: Mapping[str, Sequence[Row]]) -> str:
    medians = {name: Summary.of(rows).median for name, rows in scenarios.items()}
    baseline = medians.get(BASELINE)
    body = []
    for name, rows in scenarios.items():
        latencies = Summary.of(rows).latencies
        times = f"{baseline / medians[name]:.1f}" if baseline else "-"
        numbers = (spell(percentile(latencies, percent)) for percent in (50, 95, 100))
        body.append((*_label(name), len(rows), *numbers, times))
    return table(("Server", "Edit", "Routes", "n", "p50 ms", "p95 ms", "max ms", "times sooner than uvicorn"), body)


def _failure_table(scenarios: Mapping[str, Sequence[Row]]) -> str:
    header = (
        "Server",
        "Edit",
        "Routes",
        "new: requests",
        "failed",
        "kept: requests",
        "failed",
        "dropped",
        "wrong",
        "stale",
    )
    body = []
    for name, rows in scenarios.items():
        summary = Summary.of(rows)
        counts = [count for kind in Kind for count in (summary.requests[kind], summary.failed[kind])]
        body.append((*_label(name), *counts, summary.dropped, summary.wrong, summary.stale))
    return table(header, body)


def _process_table(rows: Sequence[Row]) -> str:
    columns = PROCESS_COLUMNS[2:]
    header = ("Server", "Edit", "Routes", "processes", "parent MB (PSS)", "children MB (PSS)", "idle, % of a core")
    return table(header, [(*_label(row["scenario"]), *(row[column] for column in columns)) for row in rows])


def _budgets(scenarios: Mapping[str, Sequence[Row]]) -> list[Budget]:
    budgets = []
    for name, percent, limit in BUDGETS:
        if name in scenarios:
            _, edited, routes = _label(name)
            measured = percentile(Summary.of(scenarios[name]).latencies, percent)
            budgets.append(Budget(f"{edited}, {routes} routes, p{percent}", limit, measured, "ms"))
    own = Summary.of(row for name, rows in scenarios.items() if SCENARIOS[name].server == WARMFORK for row in rows)
    faults = sum(own.failed.values()) + own.wrong + own.dropped
    what = (
        f"failed, wrong or dropped of {sum(own.requests.values())} requests to warmfork in {len(own.latencies)} saves"
    )
    return [*budgets, Budget(what, 0, faults, "")]


def _panels(scenarios: Mapping[str, Sequence[Row]]) -> list[Panel]:
    def strip(name: str, label: str) -> Strip:
        return Strip(label, Summary.of(scenarios[name]).latencies, own=SCENARIOS[name].server == WARMFORK)

    servers = [name for name in scenarios if _label(name)[1:] == (LEAF_AGAIN, 10)]
    own = [name for name in scenarios if SCENARIOS[name].server == WARMFORK]
    panels = [
        Panel("The same leaf file again, 10 routes", [strip(name, SCENARIOS[name].server) for name in servers]),
        Panel("warmfork", [strip(name, f"{_label(name)[1]}, {_label(name)[2]} routes") for name in own]),
    ]
    return [panel for panel in panels if panel.strips]


def main() -> int:
    """Measure and report; return the exit status."""
    reloads = Reloads(parse_arguments("bench.reload", __doc__ or "", list(SCENARIOS), SAVES))
    return measure_then_report(reloads.measure, reloads.report)


if __name__ == "__main__":
    sys.exit(main())
