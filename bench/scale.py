"""How a saved file, the start and the memory grow with an application: make bench-scale."""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from random import Random

from bench import environment, machine, measured_save, scale_report
from bench.command import measure_then_report, parse_arguments
from bench.dependents import execution_times
from bench.generated.application import SIZES, GeneratedApplication, Kind
from bench.history import Judge
from bench.results import Results
from bench.saves import Mode, half_and_half
from bench.scale_report import Measured
from bench.servers import PATCHING, WARMFORK, Server
from bench.summary import milliseconds, spell
from bench.warmfork_log import restarts, ways

SAVES, STARTS, PROCESSOR_SAVES = 40, 3, 5
IDLE = 10.0
# Servers that start a new process for each save import everything, whatever was edited.
KINDS: Mapping[str, tuple[Kind, ...]] = {
    WARMFORK: tuple(Kind),
    "uvicorn --reload": (Kind.LEAF,),
    "fastapi dev": (Kind.LEAF,),
    "granian --reload": (Kind.LEAF,),
    **dict.fromkeys(PATCHING, tuple(Kind)),
}
# Does not see a file that is renamed over another one.
IN_PLACE = {"jurigged"}
PARTS = {f"{name.partition(' ')[0]}-{size}": (name, size) for size in SIZES for name in KINDS}


class Scale:
    """One run of the benchmark."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        """Prepare; `machine` is described as it is now."""
        self._arguments = arguments
        self._random = Random(arguments.seed)  # noqa: S311 - repeatable
        self._machine = machine.describe_machine()
        self._results = {
            name: Results(arguments.output / f"scale-{name}.csv", columns, append=arguments.append)
            for name, columns in scale_report.COLUMNS.items()
        }

    def measure(self) -> None:
        """Measure one size after the other, all its servers in turn."""
        for size in SIZES:
            names = [name for name, of_size in map(PARTS.__getitem__, self._arguments.only) if of_size == size]
            if names:
                with tempfile.TemporaryDirectory(prefix="bench-scale-") as folder:
                    self._measure_size(size, names, Path(folder))

    def report(self) -> None:
        """Print tables of what there is, and write Markdown and a plot."""
        measured = Measured(**{name: results.rows() for name, results in self._results.items()})
        scale_report.report(self._arguments.output, measured, self._machine)

    def _measure_size(self, size: int, names: list[str], folder: Path) -> None:
        servers = {name: self._server(name, size, folder) for name in names}
        print(f"{size} modules")
        for number in range(self._arguments.starts):
            for name in self._random.sample(names, len(names)):
                with servers[name] as server:
                    row = {"number": number, "start_ms": f"{1000 * server.started_in:.0f}"}
                    self._add("starts", name, size, row)
                    print(f" {name} started in {server.started_in:.2f} s")
                    server.await_quiet()
        with ExitStack() as stack:
            for server in servers.values():
                stack.enter_context(server)
            for kind in self._arguments.kinds:
                chosen = {name: server for name, server in servers.items() if kind in KINDS[name]}
                self._measure_kind(size, kind, chosen)
            for name, server in servers.items():
                self._add("servers", name, size, self._cost(server))
        leaf = GeneratedApplication(folder / "plain", size, lifespan=self._arguments.lifespan)
        for took in execution_times(leaf.folder, leaf.leaf_dependents):
            self._results["plain"].add({"run": self._arguments.run, "modules": size, "milliseconds": f"{took:.1f}"})

    def _measure_kind(self, size: int, kind: Kind, servers: Mapping[str, Server[GeneratedApplication]]) -> None:
        print(f" {kind}", end=":", flush=True)
        modes = {name: self._modes(name) for name in servers}
        for server in servers.values():
            if server.has_ended or server.differing():
                server.restart()
        missed: set[str] = set()
        for number in range(self._arguments.saves):
            for name in self._random.sample(list(servers), len(servers)):
                # One that has not served an edit of this kind is asked for no other.
                if name not in missed and not servers[name].has_ended:
                    row = self._save(servers[name], kind, modes[name][number])
                    self._add("saves", name, size, row)
                    missed |= set() if row["milliseconds"] else {name}
                    print(f" {name} {spell(milliseconds(row['milliseconds']))}", end="", flush=True)
        print()
        for name, server in servers.items():
            if name not in missed and not server.has_ended:
                for took in self._processor_times(server, kind):
                    self._add("processor", name, size, {"kind": kind, "milliseconds": f"{took:.0f}"})

    def _modes(self, name: str) -> list[Mode]:
        if name in IN_PLACE:
            return [Mode.IN_PLACE] * self._arguments.saves
        return half_and_half(self._arguments.saves, self._random)

    def _save(self, server: Server[GeneratedApplication], kind: Kind, mode: Mode) -> dict[str, str]:
        server.await_quiet()
        reloads = len(ways(server.lines())) if server.name == WARMFORK else 0
        path = server.application.address(kind)
        judge = Judge(server.application.shown[path])
        edit = server.application.edit(kind)
        counts = measured_save.measure_save(measured_save.target(server.port, path), judge, edit, mode, self._random)
        differing = set(server.differing()) - {path}
        way = ways(server.lines())[reloads:] if server.name == WARMFORK else []
        return {"kind": kind, "mode": mode, "way": "+".join(way), "differing": str(len(differing)), **counts}

    def _processor_times(self, server: Server[GeneratedApplication], kind: Kind) -> Iterator[float]:
        """Yield what each save takes of the processor until all is quiet, in milliseconds; without other requests."""
        for mode in self._modes(server.name)[:PROCESSOR_SAVES]:
            server.await_quiet()
            before = server.seconds()
            server.application.edit(kind).save(mode)
            server.await_saved()
            server.await_quiet()
            yield 1000 * (server.seconds() - before)

    def _cost(self, server: Server[GeneratedApplication]) -> dict[str, str]:
        server.await_quiet()
        before = server.seconds()
        time.sleep(IDLE)
        idle = 100 * (server.seconds() - before) / IDLE
        processes = server.processes()
        return {
            "processes": str(len(processes)),
            "memory_mb": f"{sum(process.memory for process in processes) / 1e6:.0f}",
            "idle_percent": f"{idle:.1f}",
            "restarts": str(restarts(server.lines())) if server.name == WARMFORK else "",
        }

    def _server(self, name: str, size: int, folder: Path) -> Server[GeneratedApplication]:
        application = GeneratedApplication(
            folder / name.partition(" ")[0], size, seed=self._arguments.seed, lifespan=self._arguments.lifespan
        )
        return Server(name, application, environment.python() if name in PATCHING else sys.executable)

    def _add(self, results: str, name: str, size: int, row: Mapping[str, object]) -> None:
        self._results[results].add({"run": self._arguments.run, "server": name, "modules": size, **row})


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kinds", nargs="+", type=Kind, choices=list(Kind), default=list(Kind), help="of edits (all)")
    parser.add_argument("--starts", type=int, default=STARTS, help="of each server (%(default)s)")
    parser.add_argument("--lifespan", type=float, default=0, help="seconds that the lifespan takes (%(default)s)")


def main() -> int:
    """Measure and report; return the exit status."""
    scale = Scale(parse_arguments("bench.scale", __doc__ or "", list(PARTS), SAVES, _add_options))
    return measure_then_report(scale.measure, scale.report)


if __name__ == "__main__":
    sys.exit(main())
