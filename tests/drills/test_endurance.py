"""A long day in the loop: two thousand saves in one session, after which nothing has grown and nothing is left over."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import pytest

from bench.pods import Probe, command_in_pod
from bench.replicas import Leaf
from bench.saves import Mode
from tests.drills.programs import Usage, processes, usage
from tests.live_update import application
from tests.live_update.loop import Loop, running_in_copy

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1500)]

SAVES, HALF, BEGINNING = 2_000, 1_000, 100
# Of the memory after the first hundred saves; of programs that keep a record of what happens, up to a size, after half.
GROWTH = 1.1
KEEPS_RECORD = ("Tilt", "dashboard")
GIVE_UP, REST = 20.0, 3.0  # seconds


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    with running_in_copy(tmp_path) as loop:
        yield loop


def test_two_thousand_saves_leave_nothing_behind(loop: Loop, tmp_path: Path) -> None:
    leaf = Leaf(loop.checkout, tmp_path / "mirror")
    before = application.pods("backend")
    with ExitStack() as stack:
        probes = [stack.enter_context(Probe(pod.name, command_in_pod(pod.name))) for pod in before]
        latencies = [save(leaf, probes) for _ in range(BEGINNING)]
        early = usage_at_rest(loop)
        latencies += [save(leaf, probes) for _ in range(HALF - BEGINNING)]
        half = usage_at_rest(loop)
        latencies += [save(leaf, probes) for _ in range(SAVES - HALF)]
        late = usage_at_rest(loop)
    print(f"\n{SAVES} saves, ms until all replicas served: first 100 p50 {1_000 * median(latencies[:100]):.0f},")
    print(f"last 100 p50 {1_000 * median(latencies[-100:]):.0f}, slowest {1_000 * max(latencies):.0f}")
    for name, first in early.items():
        print(f"  {name}: {first} after {BEGINNING}, {half.get(name)} after {HALF}, {late.get(name)} in the end")
    before_end = early | {name: half[name] for name in KEEPS_RECORD}
    found = {name: grown(usage, late[name]) for name, usage in before_end.items()}
    assert not any(found.values()), found
    assert application.pods("backend") == before


def usage_at_rest(loop: Loop) -> dict[str, Usage]:
    """Return what each program has once no process has come or gone for a while: some are made ready after a save."""
    known, since = frozenset[int](), time.monotonic()

    def is_at_rest() -> bool:
        nonlocal known, since
        now = frozenset(process.identifier for members in processes().values() for process in members)
        if now != known:
            known, since = now, time.monotonic()
        return time.monotonic() - since > REST

    loop.until("no process comes or goes", is_at_rest)
    return usage()


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
    # Go starts a thread where one waits for the kernel, and keeps it; a probe's connection may be open at a look.
    allowed = {
        "memory": GROWTH * early.memory,
        "processes": early.processes,
        "threads": early.threads + early.processes,
        "descriptors": early.descriptors + early.processes,
    }
    return [name for name, most in allowed.items() if getattr(late, name) > most]
