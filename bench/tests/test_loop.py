"""The order of events in bench.loop, with stand-ins for the cluster."""

import argparse
import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import pytest

from bench import loop, loop_report, machine
from bench.history import Kind, Tally
from bench.replicas import Leaf, Outcome
from bench.saves import Mode
from devenv.failure import Failure

LOST = Outcome(0, [None], {kind: Tally() for kind in Kind}, within_second=0, lost=0)


class FakeLoop:
    """Remembers what was started; refuses to run without the fast lane."""

    started: list[tuple[int, tuple[str, ...]]]

    def __init__(self, _: Path, *arguments: str, replicas: int) -> None:
        self._arguments = arguments
        self._replicas = replicas

    @contextmanager
    def running(self) -> Iterator[None]:
        self.started.append((self._replicas, self._arguments))
        if self._arguments == ("--fast-lane=false",):
            raise AssertionError("make up ended")
        yield


class FakeReplicas:
    """Serves every save at once, except in place ones."""

    saves: list[Mode]

    @classmethod
    @contextmanager
    def watched(cls, _: Leaf) -> Iterator[Self]:
        yield cls()

    def save(self, mode: Mode, lead: float) -> Outcome:
        assert loop.LEAD <= lead <= loop.LEAD + loop.LEAD_RANGE
        self.saves.append(mode)
        latencies: list[float | None] = [40.0, 50.0 if mode == Mode.ATOMIC else None]
        return Outcome(0, latencies, {kind: Tally(requests=7) for kind in Kind}, within_second=9, lost=0)


class FakeBreakdown:
    """Has a row for each save."""

    def __init__(self, _: str) -> None:
        self._rows: list[dict[str, str]] = []

    def follow(self, _: float, __: float | None) -> None:
        self._rows.append(dict.fromkeys(("debounce", "dispatch", "copy", "reload", "served"), "1.0"))

    def rows(self) -> list[dict[str, str]]:
        return self._rows


@pytest.fixture(autouse=True)
def cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeLoop.started, FakeReplicas.saves = [], []

    def copy(target: Path) -> Path:
        source = target / "backend" / Leaf.FILE
        source.parent.mkdir(parents=True)
        source.write_text(Leaf.STRING)
        return target

    stand_ins = {"Loop": FakeLoop, "Replicas": FakeReplicas, "Breakdown": FakeBreakdown, "copy_checkout": copy}
    for name, stand_in in stand_ins.items():
        monkeypatch.setattr(loop, name, stand_in)
    monkeypatch.setattr(loop, "PAUSE", 0)
    monkeypatch.setattr(loop, "PAUSE_RANGE", 0)
    monkeypatch.setattr(machine, "describe_cluster", lambda: "A cluster.")


def loops(output: Path, *parts: str, saves: int = 4, append: bool = False) -> loop.ClusterLoops:
    return loop.ClusterLoops(
        argparse.Namespace(run="now", only=parts, saves=saves, seed=1, output=output, append=append)
    )


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_part_gets_a_loop_of_its_own_and_the_same_saves(tmp_path: Path) -> None:
    measured = loops(tmp_path, "fast-1", "uvicorn-4")
    measured.measure()
    measured.report()
    assert FakeLoop.started == [(1, ()), (4, ("--fast-lane=false", "--reloader=uvicorn"))]
    assert FakeReplicas.saves[:4] == FakeReplicas.saves[4:]
    saves = rows(tmp_path / "loop.csv")
    assert [(row["lane"], row["replicas"]) for row in saves] == [("fast", "1")] * 4 + [("uvicorn", "4")] * 4
    assert {row["milliseconds"] for row in saves} == {"50.0", ""}
    assert {row["quickest_ms"] for row in saves} == {"40.0"}
    breakdown = rows(tmp_path / "loop-breakdown.csv")
    assert len(breakdown) == 8
    assert set(breakdown[0]) == set(loop_report.BREAKDOWN_COLUMNS)
    assert "A cluster." in (tmp_path / "loop.md").read_text()


def test_a_part_that_fails_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="tilt-1, tilt-2"):
        loops(tmp_path, "tilt-1", "tilt-2", "fast-2").measure()
    assert {row["lane"] for row in rows(tmp_path / "loop.csv")} == {"fast"}


def test_a_part_whose_saves_are_not_served_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(FakeReplicas, "save", lambda *_, **__: LOST)
    with pytest.raises(Failure, match="fast-1"):
        loops(tmp_path, "fast-1", saves=20).measure()
    assert "3 saves were not served" in capsys.readouterr().err
    assert len(rows(tmp_path / "loop.csv")) == len(rows(tmp_path / "loop-breakdown.csv")) + 1 == loop.LOST_SAVES


def test_an_interruption_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loops(tmp_path, "fast-1").measure()

    def interrupt(*_: object, **__: object) -> Outcome:
        raise KeyboardInterrupt

    monkeypatch.setattr(FakeReplicas, "save", interrupt)
    with pytest.raises(KeyboardInterrupt):
        loops(tmp_path, "fast-2", append=True).measure()
    assert len(rows(tmp_path / "loop.csv")) == len(rows(tmp_path / "loop-breakdown.csv")) == 4
