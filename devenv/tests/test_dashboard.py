"""The dashboard's process: started once, found again, stopped, and clear about a taken port."""

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devenv import dashboard, paths
from devenv.failure import Failure


@pytest.fixture
def pidfile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Let it run beside a dashboard that this machine may have."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        monkeypatch.setattr(dashboard, "PORT", free.getsockname()[1])
    monkeypatch.setattr(dashboard, "_PIDFILE", tmp_path / "dashboard.pid")
    monkeypatch.setattr(dashboard, "_LOG", tmp_path / "logs" / "dashboard.log")
    monkeypatch.setattr(paths, "LOGS", tmp_path / "logs")
    monkeypatch.setattr("devenv.python.venv_python", lambda: Path(sys.executable))
    monkeypatch.setenv("DEVENV_SOURCE", "registry")
    yield tmp_path / "dashboard.pid"
    dashboard.stop()


def test_start_finds_what_runs_already(pidfile: Path) -> None:
    dashboard.start()
    first = pidfile.read_text()
    dashboard.start()
    assert pidfile.read_text() == first
    dashboard.stop()
    assert not pidfile.exists()
    dashboard.stop()


def test_other_code_takes_the_place_of_what_runs(pidfile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dashboard.start()
    first = pidfile.read_text()
    monkeypatch.setattr(dashboard, "_version", lambda: "newer")
    dashboard.start()
    assert pidfile.read_text() != first


def test_taken_port_is_named(pidfile: Path) -> None:
    with socket.create_server(("127.0.0.1", dashboard.PORT)), pytest.raises(Failure, match="already listens on port"):
        dashboard.start()
    assert not pidfile.exists()


def test_reason_of_a_dashboard_that_does_not_start_is_shown(pidfile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devenv.cluster.CONTEXT", "--port=nonsense")
    with pytest.raises(Failure, match="expected one argument"):
        dashboard.start()
    assert pidfile.parent.exists()
