"""A long day in the loop: two thousand saves in one session, after which nothing has grown and nothing is left over."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pytest

from bench.pods import Probe, command_in_pod
from bench.processes import PROC, process_tree
from bench.replicas import Leaf
from bench.saves import Mode
from tests.live_update import application
from tests.live_update.checkout import copy_checkout
from tests.live_update.loop import Loop

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1500)]

SAVES, BEGINNING = 2_000, 100
# Of the memory after the first hundred saves.
GROWTH = 1.1
GIVE_UP = 20.0  # seconds
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


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    loop = Loop(copy_checkout(tmp_path / "checkout"))
    with loop.running():
        yield loop


def test_two_thousand_saves_leave_nothing_behind(loop: Loop, tmp_path: Path) -> None:
    leaf = Leaf(loop.checkout, tmp_path / "mirror")
    before = application.pods("backend")
    with ExitStack() as stack:
        probes = [stack.enter_context(Probe(pod.name, command_in_pod(pod.name))) for pod in before]
        latencies = [save(leaf, probes) for _ in range(BEGINNING)]
        early = usage()
        latencies += [save(leaf, probes) for _ in range(SAVES - BEGINNING)]
    late: dict[str, Usage] = {}

    def is_as_before() -> bool:
        late.update(usage())
        return all(grown(early[name], late[name]) == [] for name in early)

    try:
        # What serves, stands by or ends at this moment differs from one look to the next.
        loop.until("all programs have what they had", is_as_before)
    finally:
        print(f"\n{SAVES} saves, ms until all replicas served: first 100 p50 {1_000 * median(latencies[:100]):.0f},")
        print(f"last 100 p50 {1_000 * median(latencies[-100:]):.0f}, slowest {1_000 * max(latencies):.0f}")
        for name, first in early.items():
            print(f"  {name}: {first} after {BEGINNING}, {late.get(name)} in the end")
    assert application.pods("backend") == before


def save(leaf: Leaf, probes: list[Probe]) -> float:
    """Save once; return the seconds until every replica served it."""
    edit = leaf.edit()
    for probe in probes:
        probe.expect(edit.version, GIVE_UP)
    saved = edit.save(Mode.ATOMIC)
    served = [probe.sighting().served for probe in probes]
    assert None not in served, f"{edit.version} was not served by all replicas: {served}"
    return max(moment for moment in served if moment is not None) - saved


def grown(early: Usage, late: Usage) -> list[str]:
    """Return what there is more of than before, beyond what is allowed."""
    found = ["memory"] if late.memory > GROWTH * early.memory else []
    return found + [
        name for name in ("processes", "threads", "descriptors") if getattr(late, name) > getattr(early, name)
    ]


def usage() -> dict[str, Usage]:
    """Return what each of the loop's programs has."""
    roots: dict[int, str] = {}
    for folder in PROC.iterdir():
        if folder.name.isdigit() and (name := program(int(folder.name))):
            roots[int(folder.name)] = name
    trees = {root: process_tree(root) for root in roots}
    # A process whose parent is of the same program belongs to its tree.
    inner = {process.identifier for root, tree in trees.items() for process in tree if process.identifier != root}
    found: Counter[tuple[str, str]] = Counter()
    for root, name in roots.items():
        for process in trees[root] if root not in inner else []:
            found[name, "memory"] += process.memory
            found[name, "processes"] += 1
            found[name, "threads"] += entries(process.identifier, "task")
            found[name, "descriptors"] += entries(process.identifier, "fd")
    names = sorted({name for name, _ in found})
    return {
        name: Usage(**{key: found[name, key] for key in ("memory", "processes", "threads", "descriptors")})
        for name in names
    }


def program(identifier: int) -> str:
    """Return what the process is called in PROGRAMS, or nothing."""
    try:
        words = (PROC / str(identifier) / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
    except OSError:
        return ""
    return next((name for part, name in PROGRAMS.items() if part in words), "")


def entries(identifier: int, folder: str) -> int:
    """Return how many threads or descriptors the process has."""
    try:
        return sum(1 for _ in (PROC / str(identifier) / folder).iterdir())
    except OSError:
        return 0
