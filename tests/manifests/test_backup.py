"""k8s/components/backup/backup.sh against a real PostgreSQL, and dumps that are good, cut off, spoiled and old."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.database import Postgres
from tests.postgres import new_server

SCRIPT = Path(__file__).parents[2] / "k8s" / "components" / "backup" / "backup.sh"


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with new_server(tmp_path_factory, tmp_path_factory.mktemp("postgres")) as postgres:
        yield postgres


class Backups:
    """A folder of dumps, and the clock by which they are named."""

    def __init__(self, postgres: Postgres, folder: Path) -> None:
        self.postgres = postgres
        self.folder = folder / "backups"
        self.folder.mkdir()
        self.password = folder / "password"
        self.password.write_text(postgres.url().split(":")[2].split("@")[0])
        self._programs = folder / "bin"
        self._programs.mkdir()

    def run(self, time: str = "20261128T031700Z", kept: int = 3) -> "subprocess.CompletedProcess[str]":
        """Make a dump at that time."""
        clock = self._programs / "date"
        clock.write_text(f"#!/bin/sh\necho {time}\n")
        clock.chmod(0o755)
        environment = {
            "PATH": os.pathsep.join((str(self._programs), str(self.postgres.programs), os.environ["PATH"])),
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.postgres.port),
            "PGUSER": "postgres",
            "PGDATABASE": "postgres",
            "PASSWORD_FILE": str(self.password),
        }
        command = ["sh", str(SCRIPT), str(self.folder), str(kept)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    @property
    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


@pytest.fixture
def backups(postgres: Postgres, tmp_path: Path) -> Backups:
    return Backups(postgres, tmp_path)


def test_newest_are_kept_with_their_checksums(backups: Backups) -> None:
    times = [f"2026112{day}T031700Z" for day in range(1, 6)]
    for time in times:
        result = backups.run(time)
        assert result.returncode == 0, result.stderr
    assert "is one of 3" in result.stdout
    dumps = [f"todo-{time}.dump" for time in times[-3:]]
    assert backups.names == sorted([*dumps, *(f"{name}.sha256" for name in dumps)])


def test_dump_holds_the_data(backups: Backups) -> None:
    assert backups.run().returncode == 0
    (dump,) = backups.folder.glob("*.dump")
    listed = subprocess.run(
        [backups.postgres.programs / "pg_restore", "--list", dump], capture_output=True, text=True, check=True
    )
    assert "dbname: postgres" in listed.stdout


def test_missing_password_is_named(backups: Backups) -> None:
    backups.password.unlink()
    result = backups.run()
    assert result.returncode == 1
    assert f"{backups.password} is missing or empty" in result.stderr
    assert backups.names == []


def test_dump_that_fails_leaves_nothing_and_the_others(backups: Backups) -> None:
    assert backups.run("20261127T031700Z").returncode == 0
    before = backups.names
    backups.password.write_text("wrong")
    result = backups.run()
    assert result.returncode != 0
    assert "password authentication failed" in result.stderr
    assert backups.names == before


def test_spoiled_dump_is_noticed_and_nothing_is_removed(backups: Backups) -> None:
    for time in ("20261126T031700Z", "20261127T031700Z"):
        assert backups.run(time).returncode == 0
    spoiled = backups.folder / "todo-20261126T031700Z.dump"
    spoiled.write_bytes(spoiled.read_bytes()[:-1] + b"?")
    result = backups.run(kept=1)
    assert result.returncode != 0
    assert f"{spoiled.name}: FAILED" in result.stdout
    assert len(list(backups.folder.glob("*.dump"))) == 3
