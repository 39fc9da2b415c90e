import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from devenv import paths
from devenv.failure import Failure
from devenv.process import Log, interactive, output, run, succeeds


def test_a_failed_command_shows_its_last_lines(log: Log) -> None:
    with pytest.raises(Failure) as failure:
        run(["sh", "-c", "echo beginning; seq 100; echo the cause >&2; exit 3"], log)
    assert "exited with 3" in str(failure.value)
    assert "the cause" in str(failure.value)
    assert "beginning" not in str(failure.value)
    assert "beginning" in log.path.read_text()


def test_a_missing_command_is_named(log: Log) -> None:
    with pytest.raises(Failure, match=r"no-such-command\ncause: is not installed"):
        run(["no-such-command"], log)
    with pytest.raises(Failure, match="no-such-command"):
        interactive(["no-such-command"])
    assert not succeeds(["no-such-command"])


def test_commands_are_found_on_the_path_that_they_are_given(tmp_path: Path) -> None:
    program = tmp_path / "brought"
    program.write_text("#!/bin/sh\necho here\n")
    program.chmod(0o755)
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    assert output(["brought"], env=path) == "here"
    assert succeeds(["brought"], env=path)
    assert not succeeds(["brought"])


def test_a_hanging_command_does_not_succeed() -> None:
    assert not succeeds(["sleep", "60"], timeout=0.1)


def test_an_interruption_ends_what_the_command_started(tmp_path: Path) -> None:
    started = tmp_path / "pid"
    script = f"""
import pathlib
from devenv.process import Log, run
run(["sh", "-c", "sleep 300 & echo $! > {started}; wait"], Log(pathlib.Path("{tmp_path}/log")))
"""
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=paths.CHECKOUT, stderr=subprocess.DEVNULL)
    await_true(lambda: started.is_file() and started.read_text().strip() != "")
    parent.send_signal(signal.SIGINT)
    parent.wait()
    await_true(lambda: not running(int(started.read_text())))


def test_an_interruption_in_the_moment_of_a_start_leaves_nothing(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    start = subprocess.Popen
    started: list[subprocess.Popen[bytes]] = []

    def start_and_interrupt(words: list[str], **options: object) -> subprocess.Popen[bytes]:
        started.append(start(words, **options))  # type: ignore[call-overload]
        signal.raise_signal(signal.SIGINT)
        return started[0]

    monkeypatch.setattr(subprocess, "Popen", start_and_interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(["sleep", "300"], log)
    assert [process.returncode for process in started] == [-signal.SIGTERM]


def test_an_interactive_program_gets_the_exit_code_and_a_pidfile(tmp_path: Path) -> None:
    pidfile = tmp_path / "pid"
    script = f'until [ "$(cat {pidfile})" = $$ ]; do sleep 0.01; done; exit 7'
    assert interactive(["sh", "-c", script], pidfile=pidfile) == 7
    assert not pidfile.exists()


def running(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def await_true(condition: object) -> None:
    assert callable(condition)
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
