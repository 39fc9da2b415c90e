"""One save, all replicas: with servers on this machine in the place of pods."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.version import source_digest
from bench import replicas
from bench.connection import Target
from bench.history import Kind
from bench.load import Load, Rate
from bench.pods import PROGRAM, Probe
from bench.replicas import Leaf, Replicas
from bench.saves import Mode
from bench.tests.replica import Replica, serving
from devenv.failure import Failure


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    source = tmp_path / "checkout" / "backend" / Leaf.FILE
    source.parent.mkdir(parents=True)
    source.write_text(f"DETAIL = {Leaf.STRING}\n")
    return tmp_path / "checkout"


@pytest.fixture
def pods(checkout: Path) -> Iterator[list[Replica]]:
    """Two replicas that serve whatever the files are."""
    file = checkout / "backend" / Leaf.FILE
    known = [""]

    def code() -> str:
        # As a server does: a file that is being saved in place counts once it is whole.
        before, digest, after = file.read_text(), source_digest(checkout / "backend" / "app"), file.read_text()
        if before == after and after.endswith("\n"):
            known[0] = digest
        return known[0]

    with serving(code) as one, serving(code) as two:
        yield [one, two]


def probing(pod: Replica) -> list[str]:
    return [sys.executable, "-c", PROGRAM, str(pod.server_port)]


# Tells that the code was not shown in time, without letting the time pass.
BLIND = """
import json, sys, time
print(json.dumps({"clock": time.monotonic()}), flush=True)
for line in sys.stdin:
    print(json.dumps({"served": None, "asked": 9, "lost": 0}), flush=True)
"""


def save_twice(leaf: Leaf, pods: list[Replica], *commands: list[str]) -> list[replicas.Outcome]:
    with ExitStack() as stack:
        probes = [stack.enter_context(Probe(str(number), command)) for number, command in enumerate(commands)]
        target = Target("127.0.0.1", pods[0].server_port, "/api/version", replicas.read_answer)
        load = stack.enter_context(Load(target, Rate(new_period=0.02, kept=2, kept_period=0.02)))
        watched = Replicas(leaf, probes, load)
        return [watched.save(mode, lead=0.05) for mode in Mode]


def test_a_save_is_followed_to_every_replica(checkout: Path, pods: list[Replica], tmp_path: Path) -> None:
    leaf = Leaf(checkout, tmp_path / "mirror")
    before = leaf.version
    outcomes = save_twice(leaf, pods, *map(probing, pods))
    assert leaf.version == source_digest(checkout / "backend" / "app") != before
    for outcome in outcomes:
        assert len(outcome.latencies) == 2
        assert outcome.quickest is not None
        assert outcome.slowest is not None
        assert 0 <= outcome.quickest <= outcome.slowest < 1000 * replicas.GIVE_UP
        assert all(outcome.tallies[kind].requests > 0 for kind in Kind)
        assert all((tally.failed, tally.wrong) == (0, 0) for tally in outcome.tallies.values())
        assert 0 < outcome.within_second <= sum(tally.requests for tally in outcome.tallies.values())
        assert outcome.lost == 0


def test_a_replica_that_stays_behind_is_told(checkout: Path, pods: list[Replica], tmp_path: Path) -> None:
    blind = [sys.executable, "-c", BLIND]
    outcome, _ = save_twice(Leaf(checkout, tmp_path / "mirror"), pods, blind, probing(pods[1]))
    assert outcome.latencies[0] is None
    assert outcome.quickest == outcome.latencies[1] is not None
    assert outcome.slowest is None


def test_a_module_that_has_changed_is_refused(checkout: Path, tmp_path: Path) -> None:
    (checkout / "backend" / Leaf.FILE).write_text("")
    with pytest.raises(Failure, match="does not hold"):
        Leaf(checkout, tmp_path / "mirror")
