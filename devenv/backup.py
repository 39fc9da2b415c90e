"""A copy of the loop's database in a file of this machine, and back."""

import hashlib
import subprocess
import time
from pathlib import Path

from devenv import cluster, paths
from devenv.failure import Failure
from devenv.progress import say

NAMESPACE = "todo"
FOLDER = paths.STATE / "backups"
_PASSWORD = "PGPASSWORD=$(cat /run/secrets/todo/migrate_password)"  # noqa: S105 - where it is, not what
# The role that owns the tables, over TCP as every client of the database.
_OPTIONS = "--host=127.0.0.1 --username=todo_migrate --dbname=todo"
_DUMP = f"{_PASSWORD} exec pg_dump {_OPTIONS} --format=custom"
# All of it or nothing, and not at the price of a standstill: who else uses a table is waited for, but not for long.
_RESTORE = (
    f"PGOPTIONS='-c lock_timeout=10s' {_PASSWORD} exec pg_restore {_OPTIONS} --clean --if-exists --no-owner"
    " --exit-on-error --single-transaction"
)

# A table that is made anew gets the rights of every new table, this one too; the migrations take them as well.
_PROTECT = (
    f"{_PASSWORD} exec psql {_OPTIONS} --no-psqlrc --quiet --set=ON_ERROR_STOP=1"
    " --command='REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM todo_app'"
)


def backup(namespace: str = NAMESPACE, folder: Path = FOLDER) -> Path:
    """Write a dump with its checksum; return its path. Raises Failure when there is no database, or no good dump."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{namespace}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.dump"
    # Under another name until it is known to be whole.
    part = path.with_suffix(".part")
    try:
        with part.open("wb") as file:
            _in_database(namespace, _DUMP, stdout=file.fileno())
        with part.open("rb") as file:
            _in_database(namespace, "exec pg_restore --list", stdin=file.fileno(), stdout=subprocess.DEVNULL)
        _checksum(path).write_text(f"{_digest(part)}  {path.name}\n")
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)
    say(f"{path}, {path.stat().st_size} bytes. It goes back by: make restore FILE={path}")
    return path


def restore(path: Path, namespace: str = NAMESPACE) -> None:
    """Put the dump in the place of all tables. Raises Failure, and changes nothing, when it cannot."""
    remedy = f"choose one of {FOLDER}, or make one: make backup"
    if not path.is_file():
        raise Failure(f"restore of {path}", "there is no such file", remedy)
    checksum = _checksum(path)
    if checksum.is_file() and checksum.read_text().split()[:1] != [_digest(path)]:
        raise Failure(f"restore of {path}", f"its content is not what {checksum.name} says", remedy)
    with path.open("rb") as file:
        _in_database(namespace, "exec pg_restore --list", stdin=file.fileno(), stdout=subprocess.DEVNULL)
    with path.open("rb") as file:
        _in_database(namespace, _RESTORE, stdin=file.fileno(), stdout=subprocess.DEVNULL)
    _in_database(namespace, _PROTECT, stdout=subprocess.DEVNULL)
    say(f"{path} is restored. Where the code is newer than it, migrate: tilt trigger migrate")


def _in_database(namespace: str, script: str, *, stdout: int, stdin: int = subprocess.DEVNULL) -> None:
    command = ["kubectl", "--context", cluster.CONTEXT, "--namespace", namespace, "exec", "--stdin", "postgres-0"]
    words = [*command, "--", "sh", "-c", script]
    result = subprocess.run(words, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)
    if result.returncode:
        program = next(word for word in script.split() if word.startswith(("pg_", "psql")))
        raise Failure(program, result.stderr.strip() or "no output", "make up, then the same again")


def _checksum(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
