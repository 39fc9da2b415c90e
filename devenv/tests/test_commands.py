import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from devenv import __main__ as commands
from devenv import apt, engine, paths, python
from devenv.failure import Failure
from devenv.process import Log


def devenv(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "devenv", *words]
    return subprocess.run(
        command, cwd=paths.CHECKOUT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


def test_a_failure_is_three_lines_and_no_traceback() -> None:
    result = devenv("compose", DEVENV_SOURCE="internet")
    assert result.returncode == 1
    assert [line.partition(":")[0] for line in result.stderr.splitlines()] == ["error", "cause", "next"]


def test_every_command_explains_itself_in_one_line() -> None:
    listing = devenv("--help").stdout
    for command, function in commands._COMMANDS.items():
        assert f"    {command}" in listing
        assert (function.__doc__ or "").count("\n") == 0


def test_arguments_after_python_are_its_own() -> None:
    assert devenv("python", "-c", "import sys; sys.exit(sys.version_info[:2] != (3, 12))").returncode == 0


def test_a_full_disk_is_reported_before_anything_is_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DEVENV_SOURCE", "registry")
    monkeypatch.setattr(paths, "CACHE", tmp_path)
    monkeypatch.setattr(paths, "BIN", tmp_path / "bin")
    monkeypatch.setattr(commands, "_NEEDED_GIB", {"registry": 10**9})
    with pytest.raises(Failure, match=r"\d+ GiB are free, 1000000000 GiB are needed"):
        commands._require_disk()


def test_without_root_and_engine_the_way_without_containers_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(engine, "is_running", lambda: False)
    monkeypatch.setattr(engine, "_is_brought", lambda: False)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(Failure) as failure:
        engine.ensure()
    assert "make dev" in failure.value.remedy


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
