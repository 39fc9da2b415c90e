"""What a server's processes cost, from /proc."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """One process. memory: its proportional share (PSS) in bytes; seconds: processor time so far."""

    identifier: int
    parent: int
    memory: int
    seconds: float


def process_tree(root: int) -> list[Process]:
    """Return the process and all that descend from it, the process itself first."""
    processes = {process.identifier: process for process in map(_read, _identifiers()) if process}
    tree = [processes[root]] if root in processes else []
    for process in tree:
        tree += [child for child in processes.values() if child.parent == process.identifier]
    return tree


def _identifiers() -> list[int]:
    return [int(folder.name) for folder in PROC.iterdir() if folder.name.isdigit()]


def _read(identifier: int) -> Process | None:
    """Return None for a process that has ended, or that may not be looked into."""
    folder = PROC / str(identifier)
    try:
        # What precedes the last parenthesis is the program's name, which may hold anything.
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        memory = re.search(r"^Pss: +(\d+) kB$", (folder / "smaps_rollup").read_text(), re.MULTILINE)
    except OSError:
        return None
    ticks = int(fields[11]) + int(fields[12])
    return Process(
        identifier=identifier,
        parent=int(fields[1]),
        memory=int(memory[1]) * 1024 if memory else 0,
        seconds=ticks / os.sysconf("SC_CLK_TCK"),
    )
