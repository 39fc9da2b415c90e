"""The dashboard's process: started once, found again, stopped, and clear about a taken port."""

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devenv import dashboard, paths
from devenv.failure import Failure
from tests.ports import reserved_port


@pytest.fixture
def pidfile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Let it run beside a dashboard that this machine may have."""
    monkeypatch.setattr(dashboard, "_PIDFILE", tmp_path / "dashboard.pid")
    monkeypatch.setattr(dashboard, "_LOG", tmp_path / "logs" / "dashboard.log")
    monkeypatch.setattr(paths, "LOGS", tmp_path / "logs")
    monkeypatch.setattr("devenv.python.venv_python", lambda: Path(sys.executable))
    monkeypatch.setenv("DEVENV_SOURCE", "registry")
    # Seconds; a busy machine may need more than a person should wait.
    monkeypatch.setattr(dashboard, "_START", 60)
    monkeypatch.setattr(dashboard, "_STOP", 60)
    monkeypatch.setattr(dashboard, "_PATIENCE", 60)
    with reserved_port() as port:
        monkeypatch.setattr(dashboard, "PORT", port)
        yield tmp_path / "dashboard.pid"
        dashboard.stop()


def test_start_finds_what_runs_already_unless_it_is_other_code(pidfile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dashboard.start()
    first = pidfile.read_text()
    dashboard.start()
    assert pidfile.read_text() == first
    monkeypatch.setattr(dashboard, "_version", lambda: "newer")
    dashboard.start()
    assert pidfile.read_text() != first
    dashboard.stop()
    assert not pidfile.exists()
    dashboard.stop()


def test_taken_port_is_named(pidfile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Whoever has it does not answer.
    monkeypatch.setattr(dashboard, "_PATIENCE", 0.1)
    with socket.create_server(("127.0.0.1", dashboard.PORT)), pytest.raises(Failure, match="already listens on port"):
        dashboard.start()
    assert not pidfile.exists()


def test_reason_of_a_dashboard_that_does_not_start_is_shown(pidfile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devenv.cluster.CONTEXT", "--port=nonsense")
    with pytest.raises(Failure, match="expected one argument"):
        dashboard.start()
    assert pidfile.parent.exists()
