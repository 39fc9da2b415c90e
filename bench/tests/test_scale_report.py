"""The tables and budgets of applications of every size."""

from pathlib import Path

import pytest

from bench import scale_report
from bench.generated.application import Kind
from bench.history import Kind as ConnectionKind
from bench.history import Tally
from bench.scale_report import BASELINE, Measured
from bench.servers import WARMFORK
from bench.summary import save_columns


def save(server: str, kind: Kind, latency: float | None, way: str = "") -> dict[str, str]:
    tallies = {one: Tally(requests=10) for one in ConnectionKind}
    head = {"run": "1", "server": server, "modules": "1000", "kind": kind, "mode": "atomic"}
    return {**head, "way": way, "differing": "0", **save_columns(latency, tallies)}


@pytest.mark.core
def test_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    head = {"run": "1", "modules": "1000"}
    servers = {WARMFORK: "150", BASELINE: "120"}
    measured = Measured(
        saves=[
            save(WARMFORK, Kind.LEAF, 12, "swapped"),
            save(WARMFORK, Kind.LEAF, 45, "standby"),
            save(BASELINE, Kind.LEAF, None),
        ],
        starts=[
            {**head, "server": server, "number": number, "start_ms": milliseconds}
            for server in servers
            for number, milliseconds in (("0", "9000"), ("1", "3000"))
        ],
        servers=[
            {**head, "server": server, "processes": "3", "memory_mb": memory, "idle_percent": "0.0", "restarts": "0"}
            for server, memory in servers.items()
        ],
        processor=[{**head, "server": WARMFORK, "kind": Kind.LEAF, "milliseconds": "30"}],
        plain=[{**head, "milliseconds": "100"}],
    )
    scale_report.report(tmp_path, measured, "a machine")
    text = (tmp_path / "scale.md").read_text()
    for cells in (
        ("body of a leaf", "2", "12", "45", "45", "swapped 1, standby 1", "30"),
        ("body of a leaf", "1", "never", "never", "never", "-", "-"),
        ("body of a leaf, 1000 modules, p95", "40 ms", "45 ms", "missed by 5 ms"),
        ("start, 1000 modules, 1.15 times uvicorn --reload", "3450 ms", "3000 ms", "met"),
        ("memory, 1000 modules, 1.5 times uvicorn --reload", "180 MB", "150 MB", "met"),
        ("failed, wrong or dropped of 40 requests to warmfork in 2 saves", "0", "0", "met"),
    ):
        assert any(
            [cell.strip() for cell in line.strip("|").split("|")][-len(cells) :] == list(cells)
            for line in text.splitlines()
        ), cells
    assert (tmp_path / "scale.svg").exists()
    assert "1000" in capsys.readouterr().out


def test_nothing_measured(tmp_path: Path) -> None:
    scale_report.report(tmp_path, Measured([], [], [], [], []), "a machine")
    assert list(tmp_path.iterdir()) == []
