import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from devenv import __main__ as commands
from devenv import apt, cluster, credentials, dashboard, engine, loop, paths, python, testbed
from devenv.failure import Failure
from devenv.lock import machine_lock
from devenv.process import Log


@pytest.fixture
def own_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let commands find a machine that is prepared and that nobody else uses; return where its state is."""
    for name in ("CACHE", "STATE", "VENV"):
        monkeypatch.setattr(paths, name, tmp_path / name.lower())
        getattr(paths, name).mkdir()
    # Complete: the interpreter that runs this, and the locked requirements said to be there.
    (paths.VENV / "bin").mkdir()
    python.venv_python().write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.venv_python().chmod(0o755)
    (paths.VENV / "requirements.sha256").write_text(hashlib.sha256(python._LOCK.read_bytes()).hexdigest())
    monkeypatch.setattr(testbed, "is_complete", lambda: True)
    # Changed by every command.
    monkeypatch.setenv("PATH", os.environ["PATH"])
    return tmp_path


def devenv(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["devenv", *words])
    return commands.main()


def program(command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run devenv as a program of its own, with these variables beside its environment."""
    words, environment = [sys.executable, "-m", "devenv", command], {**os.environ, **variables}
    return subprocess.run(words, cwd=paths.CHECKOUT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.core
def test_a_failure_is_three_lines_and_no_traceback(tmp_path: Path) -> None:
    own = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "XDG_STATE_HOME": str(tmp_path / "state")}
    result = program("compose", **own, DEVENV_SOURCE="internet")
    assert result.returncode == 1
    assert [line.partition(":")[0] for line in result.stderr.splitlines()] == ["error", "cause", "next"]


@pytest.mark.parametrize("variable", ("XDG_CACHE_HOME", "XDG_STATE_HOME"))
def test_a_home_that_cannot_be_written_to_is_reported(variable: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = program("ci", **{variable: str(tmp_path / "file")})
    error, cause, remedy = result.stderr.splitlines()
    assert (error, cause) == (f"error: {tmp_path}/file/todo-devenv", "cause: Not a directory")
    assert variable in remedy


def test_an_older_python_is_told_so() -> None:
    """As Ubuntu 22.04 has it. Nothing newer may be needed before that."""
    program = "import sys; sys.version_info = (3, 10, 12); import devenv"
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=paths.CHECKOUT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert result.stderr.splitlines()[0] == "error: Python 3.10.12"


def test_a_failure_is_on_the_page_of_a_run_on_github(tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    result = program("compose", DEVENV_SOURCE="internet", GITHUB_STEP_SUMMARY=str(summary))
    assert result.returncode == 1
    assert "error: DEVENV_SOURCE=internet" in summary.read_text()


@pytest.mark.usefixtures("own_machine")
@pytest.mark.parametrize("has_made_it", (True, False))
def test_down_leaves_the_cluster_of_another_user_alone(
    has_made_it: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped: list[str] = []
    for part in (loop, dashboard, cluster, engine):
        monkeypatch.setattr(part, "stop", lambda name=part.__name__: stopped.append(name))
    monkeypatch.setattr(engine, "is_running", lambda: True)
    monkeypatch.setattr(credentials, "are_known", lambda: has_made_it)
    assert devenv(monkeypatch, "down") == 0
    assert ("devenv.cluster" in stopped) is has_made_it
    assert ("another user of this machine has made it" in capsys.readouterr().out) is not has_made_it


def test_every_command_explains_itself_in_one_line(
    own_machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert own_machine.is_dir()
    with pytest.raises(SystemExit):
        devenv(monkeypatch, "--help")
    listing = capsys.readouterr().out
    for command, function in commands._COMMANDS.items():
        assert f"    {command}" in listing
        assert (function.__doc__ or "").count("\n") == 0


@pytest.mark.core
def test_arguments_after_python_are_its_own(own_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = own_machine / "written"
    program = f"import pathlib, sys; pathlib.Path({str(written)!r}).write_text(str(sys.argv)); sys.exit(7)"
    assert devenv(monkeypatch, "python", "-c", program, "--help", "-x") == 7
    assert written.read_text() == "['-c', '--help', '-x']"


@pytest.mark.parametrize("command", (("python", "-c", ""), ("test", "--version")))
def test_what_is_ready_is_used_while_another_run_prepares_the_machine(
    own_machine: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    assert own_machine.is_dir()
    with machine_lock():
        assert devenv(monkeypatch, *command) == 0


def test_a_virtual_environment_is_made_by_one_run_at_a_time(own_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (paths.VENV / "requirements.sha256").unlink()

    def ensure_venv() -> None:
        with (own_machine / "state" / "lock").open() as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        (own_machine / "made").touch()

    monkeypatch.setattr(python, "ensure_venv", ensure_venv)
    assert devenv(monkeypatch, "python", "-c", "") == 0
    assert (own_machine / "made").exists()


def test_a_full_disk_is_reported_before_anything_is_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DEVENV_SOURCE", "registry")
    monkeypatch.setattr(paths, "CACHE", tmp_path)
    monkeypatch.setattr(paths, "BIN", tmp_path / "bin")
    monkeypatch.setattr(commands, "_NEEDED_GIB", {"registry": 10**9})
    with pytest.raises(Failure, match=r"\d+ GiB are free, 1000000000 GiB are needed"):
        commands._require_disk()


def test_a_python_that_exists_and_fails_is_passed_over(
    tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    shim = tmp_path / "python3.12"
    shim.write_text("#!/bin/sh\necho 'command not found' >&2\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    found = python._python312(log)
    assert found != shim


@pytest.mark.parametrize(
    ("sources", "mirror"),
    (
        ("deb http://mirror.example/debian bookworm main\n", "http://mirror.example/debian"),
        ("deb [arch=amd64] https://mirror.example/debian/ bookworm main\n", "https://mirror.example/debian"),
        (
            "# deb http://old.example/debian bookworm main\ndeb http://new.example/debian x main",
            "http://new.example/debian",
        ),
    ),
)
def test_the_mirror_is_the_one_that_the_machine_uses(
    sources: str, mirror: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sources.list").write_text(sources)
    monkeypatch.setattr(apt, "_SOURCES", tmp_path)
    assert apt.mirror() == mirror


def test_a_machine_without_debian_sources_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apt, "_SOURCES", tmp_path)
    with pytest.raises(Failure, match="no Debian mirror"):
        apt.mirror()
