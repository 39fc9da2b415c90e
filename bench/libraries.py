"""What large libraries cost when an application imports them: make bench-libraries."""

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

from bench import environment, machine, measured_save
from bench.command import measure_then_report, parse_arguments
from bench.generated.application import GeneratedApplication, Kind
from bench.history import Judge
from bench.report import Budget, budget_table, table, write_markdown
from bench.results import Results
from bench.saves import half_and_half
from bench.servers import WARMFORK, Server
from bench.summary import COLUMNS, Row, Summary, milliseconds, percentile, spell
from bench.warmfork_log import restarts

SAVES = 20
MODULES = 10
NONE = "none"
# By name: what the application imports, and makes of it at import, as its documentation says.
LIBRARIES: Mapping[str, Sequence[str]] = {
    NONE: (),
    "numpy": ("import numpy",),
    "scipy": ("import scipy.optimize, scipy.stats",),
    "pandas": ("import pandas",),
    "numpy-and-pandas": ("import numpy", "import pandas"),
    "pyarrow": ("import pyarrow, pyarrow.parquet",),
    "grpc": ("import grpc, grpc.aio",),
    "sentry-sdk": ("import sentry_sdk", "sentry_sdk.init()"),
    "opentelemetry": (
        "from opentelemetry import trace",
        "from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor",
        "from opentelemetry.sdk.trace import TracerProvider",
        "trace.set_tracer_provider(TracerProvider())",
    ),
    "boto3": ("import boto3", "storage = boto3.client('s3', region_name='eu-central-1')"),
    "psycopg": (
        "import psycopg_pool",
        "pool = psycopg_pool.AsyncConnectionPool('host=127.0.0.1 port=1', open=False)",
    ),
    "sqlalchemy": (
        "import sqlalchemy",
        "postgres = sqlalchemy.create_engine('postgresql+psycopg://127.0.0.1:1', pool_size=5)",
    ),
    "prometheus-client": ("import prometheus_client", "asked = prometheus_client.Counter('asked', 'Requests')"),
    "apscheduler": (
        "from apscheduler.schedulers.asyncio import AsyncIOScheduler",
        "scheduler = AsyncIOScheduler()",
    ),
}
SAVE_COLUMNS = ("run", "library", "kind", "mode", "differing", *COLUMNS)
SERVER_COLUMNS = ("run", "library", "start_ms", "restarts_at_start", "restarts_later", "memory_mb", "killed")
MOST_TIMES = 1.5

METHOD = """\
An application of {modules} generated modules, one of which imports the library and makes of it what its documentation
says; each row: {saves} saves of random kinds, half of them atomic. *Restarts*: of the process that keeps the libraries,
until it was first quiet and after that. *Other states*: answers to other addresses that did not show what was saved,
after a save. {saved}"""


class Libraries:
    """One run of the benchmark."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        """Prepare; `machine` is described as it is now."""
        self._arguments = arguments
        self._random = Random(arguments.seed)  # noqa: S311 - repeatable
        self._machine = machine.describe_machine()
        output = arguments.output
        self._saves = Results(output / "libraries.csv", SAVE_COLUMNS, append=arguments.append)
        self._servers = Results(output / "libraries-servers.csv", SERVER_COLUMNS, append=arguments.append)

    def measure(self) -> None:
        """Serve an application with each library in turn."""
        python = environment.python()
        with tempfile.TemporaryDirectory(prefix="bench-libraries-") as folder:
            for library in self._arguments.only:
                application = GeneratedApplication(Path(folder) / library, MODULES, imports=LIBRARIES[library])
                self._serve(library, Server(WARMFORK, application, python))

    def report(self) -> None:
        """Print tables of what there is, and write Markdown."""
        saves, servers = self._saves.rows(), {row["library"]: row for row in self._servers.rows()}
        groups = {name: [row for row in saves if row["library"] == name] for name in LIBRARIES if name in servers}
        if not groups:
            return
        parts = [_table(groups, servers), budget_table(_budgets(groups, servers))]
        print("\n", *parts, sep="\n\n")
        method = METHOD.format(modules=MODULES, saves=self._arguments.saves, saved=measured_save.METHOD)
        remarks = [method, f"{machine.today()}: {self._machine}."]
        write_markdown(self._arguments.output / "libraries.md", "make bench-libraries", [*parts, *remarks])

    def _serve(self, library: str, server: Server[GeneratedApplication]) -> None:
        print(library, end=":", flush=True)
        with server:
            server.await_quiet()
            at_start = restarts(server.lines())
            for mode in half_and_half(self._arguments.saves, self._random):
                kind = self._random.choice(list(Kind))
                path = server.application.address(kind)
                judge = Judge(server.application.shown[path])
                asked = measured_save.target(server.port, path)
                edit = server.application.edit(kind)
                counts = measured_save.measure_save(asked, judge, edit, mode, self._random)
                head = {"run": self._arguments.run, "library": library, "kind": kind, "mode": mode}
                self._saves.add({**head, "differing": len(server.differing()), **counts})
                print(f" {spell(milliseconds(counts['milliseconds']))}", end="", flush=True)
            server.await_quiet()
            row = {
                "run": self._arguments.run,
                "library": library,
                "start_ms": f"{1000 * server.started_in:.0f}",
                "restarts_at_start": at_start,
                "restarts_later": restarts(server.lines()) - at_start,
                "memory_mb": f"{sum(process.memory for process in server.processes()) / 1e6:.0f}",
            }
        self._servers.add({**row, "killed": int(server.was_killed)})
        print()


def _table(groups: Mapping[str, Sequence[Row]], servers: Mapping[str, Row]) -> str:
    header = (
        "Library", "n", "p50 ms", "p95 ms", "requests", "failed", "wrong", "other states", "start ms",
        "restarts: at start", "later", "MB (PSS)", "killed",
    )  # fmt: skip
    body = []
    for name, rows in groups.items():
        summary, server = Summary.of(rows), servers[name]
        latencies = (spell(percentile(summary.latencies, percent)) for percent in (50, 95))
        counts = (sum(summary.requests.values()), sum(summary.failed.values()), summary.wrong, _differing(rows))
        body.append((name, len(rows), *latencies, *counts, *(server[column] for column in SERVER_COLUMNS[2:])))
    return table(header, body)


def _differing(rows: Sequence[Row]) -> int:
    return sum(int(row["differing"]) for row in rows)


def _budgets(groups: Mapping[str, Sequence[Row]], servers: Mapping[str, Row]) -> list[Budget]:
    restarted = sum(int(row["restarts_later"]) for row in servers.values())
    wrong = sum(Summary.of(rows).wrong + _differing(rows) for rows in groups.values())
    budgets = [Budget("restarts after the start", 0, restarted, ""), Budget("wrong answers", 0, wrong, "")]
    if (plain := groups.get(NONE)) and (large := groups.get("numpy-and-pandas")):
        limit = MOST_TIMES * Summary.of(plain).median
        budgets.append(Budget("numpy and pandas imported, p50", limit, Summary.of(large).median, "ms"))
    return budgets


def main() -> int:
    """Measure and report; return the exit status."""
    libraries = Libraries(parse_arguments("bench.libraries", __doc__ or "", list(LIBRARIES), SAVES))
    return measure_then_report(libraries.measure, libraries.report)


if __name__ == "__main__":
    sys.exit(main())
