"""What a server's processes cost, from /proc."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """One process. seconds: its processor time so far; ended: that of all that it had started and that has ended."""

    identifier: int
    parent: int
    seconds: float
    ended: float

    @property
    def memory(self) -> int:
        """Its proportional share (PSS), in bytes; 0 when it has ended, or may not be looked into."""
        try:
            rollup = (PROC / str(self.identifier) / "smaps_rollup").read_text()
        except OSError:
            return 0
        found = re.search(r"^Pss: +(\d+) kB$", rollup, re.MULTILINE)
        return int(found[1]) * 1024 if found else 0


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
    """Return None for a process that has ended."""
    try:
        # What precedes the last parenthesis is the program's name, which may hold anything.
        fields = (PROC / str(identifier) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    seconds = [int(field) / os.sysconf("SC_CLK_TCK") for field in fields[11:15]]
    return Process(identifier, int(fields[1]), seconds=sum(seconds[:2]), ended=sum(seconds[2:]))
