"""The programs of the loop: their processes, in pods or not, and what these use."""

from collections import defaultdict
from dataclasses import dataclass

from bench.processes import PROC, Process, process_tree

# How the programs of the loop are told from all others, by their command lines, and what they are called here.
PROGRAMS = {
    "-m warmfork app.main:app": "backend",
    "-m fastlane --context": "fast lane",
    "tilt up": "Tilt",
    "-m dashboard": "dashboard",
    "-m browser_reload": "browser reload",
}


@dataclass(frozen=True)
class Usage:
    """What the processes of one program have, all pods together. memory: bytes, shared pages in part (PSS)."""

    memory: int
    processes: int
    threads: int
    descriptors: int


def processes() -> dict[str, list[Process]]:
    """Return by program its processes: those that tell of it, and their descendants that tell of no other."""
    named: dict[int, tuple[Process, str]] = {}
    roots = [int(folder.name) for folder in PROC.iterdir() if folder.name.isdigit() and program(int(folder.name))]
    # The smaller tree is within the larger one, and has the last word.
    for tree in sorted(map(process_tree, roots), key=len, reverse=True):
        named |= {process.identifier: (process, program(tree[0].identifier)) for process in tree}
    found = defaultdict[str, list[Process]](list)
    for process, name in named.values():
        found[name].append(process)
    return found


def usage() -> dict[str, Usage]:
    """Return what each of the programs has."""
    return {
        name: Usage(
            memory=sum(process.memory for process in members),
            processes=len(members),
            threads=sum(entries(process, "task") for process in members),
            descriptors=sum(entries(process, "fd") for process in members),
        )
        for name, members in sorted(processes().items())
    }


def program(identifier: int) -> str:
    """Return what the process is called in PROGRAMS, or nothing."""
    try:
        words = (PROC / str(identifier) / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
    except OSError:
        return ""
    return next((name for part, name in PROGRAMS.items() if part in words), "")


def entries(process: Process, folder: str) -> int:
    """Return how many threads or descriptors the process has."""
    try:
        return sum(1 for _ in (PROC / str(process.identifier) / folder).iterdir())
    except OSError:
        return 0
