import subprocess
import sys
from pathlib import Path

import pytest

from devenv import paths
from devenv.lock import machine_lock

HOLDER = """
import sys
from devenv.lock import machine_lock
with machine_lock():
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what takes the lock, which is one of this test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(paths, "STATE", tmp_path / "todo-devenv")
    return [sys.executable, "-c", HOLDER, "up"]


def test_a_second_run_waits_and_names_the_first(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe = subprocess.PIPE
    holder = subprocess.Popen(command, cwd=paths.CHECKOUT, stdin=pipe, stdout=pipe, text=True)
    with holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"

        def let_go(message: str) -> None:
            print(message)
            assert holder.stdin is not None
            holder.stdin.write("\n")
            holder.stdin.flush()

        monkeypatch.setattr("devenv.lock._say", let_go)
        with machine_lock():
            pass
    assert f"process {holder.pid} (devenv up) in {paths.CHECKOUT}" in capsys.readouterr().out


def test_a_lock_is_free_after_its_holder_died(command: list[str]) -> None:
    holder = subprocess.Popen(command, cwd=paths.CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        holder.kill()
    with machine_lock():
        assert (paths.STATE / "lock").is_file()
