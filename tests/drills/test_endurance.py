"""A long day in the loop: two thousand saves in one session, after which nothing has grown and nothing is left over."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import pytest

from bench.pods import Probe, command_in_pod
from bench.replicas import Leaf
from bench.saves import Mode
from tests.drills.programs import Usage, usage
from tests.live_update import application
from tests.live_update.checkout import copy_checkout
from tests.live_update.loop import Loop

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1500)]

SAVES, BEGINNING = 2_000, 100
# Of the memory after the first hundred saves.
GROWTH = 1.1
GIVE_UP = 20.0  # seconds


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
