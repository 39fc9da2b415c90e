"""Tables, budgets and plots."""

import math
import re
from collections import Counter
from pathlib import Path

import pytest

from bench import loop_report
from bench.history import Kind, Tally
from bench.replicas import Outcome
from bench.report import Budget, Panel, Strip, plot, table

NO_TALLIES = {Kind.NEW: Tally(requests=60), Kind.KEPT: Tally(requests=40)}


def test_a_table_is_aligned() -> None:
    assert table(("Lane", "ms"), [("fast", 47), ("uvicorn", "never")]) == (
        "| Lane    |    ms |\n| ------- | ----: |\n| fast    |    47 |\n| uvicorn | never |"
    )


@pytest.mark.parametrize(
    ("measured", "verdict"), ((100, "met"), (112.4, "missed by 12 ms"), (math.inf, "missed by never ms"))
)
def test_a_budget_is_met_or_missed(measured: float, verdict: str) -> None:
    assert Budget("p50", 100, measured, "ms").verdict == verdict


def test_a_plot_has_every_save_and_the_median(tmp_path: Path) -> None:
    path = tmp_path / "plot.svg"
    panels = [Panel("Servers", [Strip("own", [40, 47, 60], own=True), Strip("other", [900, math.inf], own=False)])]
    plot(path, panels, "milliseconds")
    text = path.read_text()
    assert set(re.findall(r">([^<>\n]+)</text>", text)) >= {"Servers", "own", "other", "47", "900", "milliseconds"}
    assert len(re.findall(r"<use [^>]*fill-opacity", text)) == 4
    before = path.read_bytes()
    plot(path, panels, "milliseconds")
    assert path.read_bytes() == before


def outcome(*latencies: float | None, failures: int = 0) -> Outcome:
    tallies = {Kind.NEW: Tally(requests=60, failures=Counter(reset=failures)), Kind.KEPT: Tally(requests=40)}
    return Outcome(saved=0, latencies=list(latencies), tallies=tallies, within_second=90, lost=1)


def test_a_save_is_served_when_every_replica_serves_it() -> None:
    assert (outcome(50, 70).quickest, outcome(50, 70).slowest) == (50, 70)
    assert (outcome(50, None).quickest, outcome(50, None).slowest) == (50, None)
    assert outcome(None).quickest is None


@pytest.mark.core
def test_the_lanes_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measured = {("fast", 2): (90, 110), ("tilt", 2): (430, 600), ("uvicorn", 2): (1400, 1500)}
    saves = [
        {"run": "now", "lane": lane, "replicas": str(replicas), "mode": "atomic"}
        | {
            name: str(value)
            for name, value in loop_report.outcome_columns(
                outcome(latency / 2, latency, failures=lane == "uvicorn")
            ).items()
        }
        for (lane, replicas), latencies in measured.items()
        for latency in latencies
    ]
    assert all(set(save) == set(loop_report.SAVE_COLUMNS) for save in saves)
    parts = [
        {
            "run": "now",
            "lane": "tilt",
            "replicas": "2",
            "debounce": "211.0",
            "dispatch": "",
            "copy": "105.0",
            "reload": "48.0",
            "served": "430.0",
        }
    ]
    page = [{"run": "now", "file": "css", "mode": "atomic", "milliseconds": "512.0"}]
    loop_report.report(tmp_path, saves, parts, page, "A machine.")
    printed = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "| fast lane | 2 | 2 | 90 | 110 | 110 | 15.6 |" in printed
    assert "| uvicorn --reload | 2 | 180 | 120 | 2 | 80 | 0 | 0 | 0 | 0 | 2 |" in printed
    assert "| Tilt's lane | 2 | 1 | 211 | - | 105 | 48 | 430 |" in printed
    assert "| css | 1 | 512 | 512 | 512 |" in printed
    assert "| Tilt's lane, 2 replicas, share of uvicorn's p50 | 33 % | 31 % | met |" in printed
    assert "A machine." in (tmp_path / "loop.md").read_text()
    assert (tmp_path / "loop.svg").exists()


def test_nothing_measured_is_nothing_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loop_report.report(tmp_path, [], [], [], "")
    assert capsys.readouterr().out == ""
    assert list(tmp_path.iterdir()) == []
