"""k8s/base/postgres/roles.sh against a real PostgreSQL; here it logs in over TCP, for this server has no socket."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from psycopg2.errors import InsufficientPrivilege

from dev.database import Postgres
from tests.postgres import new_server

SCRIPT = Path(__file__).parents[2] / "k8s" / "base" / "postgres" / "roles.sh"
ROLES = {"postgres": "postgres", "migrate": "todo_migrate", "app": "todo_app"}
AWKWARD = {"postgres": "quote ' and \" \\ `id` $HOME", "migrate": "a;b--c:'d'", "app": "%s{}'\"é"}
ROTATED = {"postgres": "new'1", "migrate": 'new"2', "app": "new\\3"}


class Server:
    """A PostgreSQL on which roles.sh is run, and the passwords that it was last told."""

    def __init__(self, postgres: Postgres, folder: Path) -> None:
        self._postgres = postgres
        self._first_password = self._password = postgres.url().split(":")[2].split("@")[0]
        self.folder = folder

    def run_roles(self, passwords: dict[str, str], path: str = "") -> "subprocess.CompletedProcess[str]":
        """Run it on these passwords; with programs of a test's own, in path, it changes nothing."""
        for name, password in passwords.items():
            (self.folder / f"{name}_password").write_text(password)
        environment = {
            "PATH": os.pathsep.join(filter(None, (path, str(self._postgres.programs), os.environ["PATH"]))),
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self._postgres.port),
            "PGPASSWORD": self._password,
        }
        command = ["sh", str(SCRIPT), str(self.folder)]
        result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if result.returncode == 0 and not path:
            self._password = passwords["postgres"]
        return result

    def forget_roles(self) -> None:
        """Make the server what it was before roles.sh ran."""
        with closing(self._connect("postgres", self._password, "postgres")) as connection:
            connection.autocommit = True
            cursor = connection.cursor()
            cursor.execute("DROP DATABASE IF EXISTS todo WITH (FORCE)")
            cursor.execute("DROP ROLE IF EXISTS todo_app, todo_migrate")
            cursor.execute("ALTER ROLE postgres PASSWORD %s", (self._first_password,))

    def execute(self, role: str, password: str, statement: str = "SELECT current_user") -> list[tuple[object, ...]]:
        connection = self._connect(role, password, "todo")
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def _connect(self, role: str, password: str, database: str) -> psycopg2.extensions.connection:
        port = self._postgres.port
        return psycopg2.connect(host="127.0.0.1", port=port, user=role, password=password, dbname=database)


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with new_server(tmp_path_factory, tmp_path_factory.mktemp("postgres")) as postgres:
        yield postgres


@pytest.fixture
def server(postgres: Postgres, tmp_path: Path) -> Iterator[Server]:
    """Return a server on which roles.sh has never run."""
    folder = tmp_path / "passwords"
    folder.mkdir()
    server = Server(postgres, folder)
    yield server
    server.forget_roles()


def test_passwords_are_set_and_rotated(server: Server) -> None:
    for passwords in (AWKWARD, AWKWARD, ROTATED):
        result = server.run_roles(passwords)
        assert result.returncode == 0, result.stderr
        assert {role: server.execute(role, passwords[name]) for name, role in ROLES.items()} == {
            role: [(role,)] for role in ROLES.values()
        }
    for name, role in ROLES.items():
        with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
            server.execute(role, AWKWARD[name])


def test_the_application_uses_tables_that_only_the_migrations_make(server: Server) -> None:
    result = server.run_roles(ROTATED)
    assert result.returncode == 0, result.stderr
    server.execute("todo_migrate", ROTATED["migrate"], "CREATE TABLE todo (id serial PRIMARY KEY, title text)")
    for statement in (
        "INSERT INTO todo (title) VALUES ('a') RETURNING id",
        "UPDATE todo SET title = 'b' RETURNING title",
        "SELECT * FROM todo",
        "DELETE FROM todo RETURNING id",
    ):
        assert len(server.execute("todo_app", ROTATED["app"], statement)) == 1
    for statement in (
        "CREATE TABLE other (id int)",
        "CREATE TEMPORARY TABLE other (id int)",
        "ALTER TABLE todo ADD COLUMN other int",
        "DROP TABLE todo",
        "TRUNCATE todo",
        "CREATE SCHEMA other",
        "SET ROLE todo_migrate",
        "ALTER ROLE todo_migrate PASSWORD 'x'",
    ):
        with pytest.raises(InsufficientPrivilege):
            server.execute("todo_app", ROTATED["app"], statement)
    superusers = server.execute("postgres", ROTATED["postgres"], "SELECT rolname FROM pg_roles WHERE rolsuper")
    assert superusers == [("postgres",)]


def test_data_and_grants_survive_a_second_run(server: Server) -> None:
    assert server.run_roles(AWKWARD).returncode == 0
    server.execute("todo_migrate", AWKWARD["migrate"], "CREATE TABLE todo (id int); INSERT INTO todo VALUES (1)")
    assert server.run_roles(ROTATED).returncode == 0
    assert server.execute("todo_app", ROTATED["app"], "SELECT id FROM todo") == [(1,)]


@pytest.mark.parametrize("missing", ROLES)
def test_a_missing_or_empty_password_is_named(tmp_path: Path, missing: str) -> None:
    for name in ROLES:
        (tmp_path / f"{name}_password").write_text("" if name == missing else "x")
    result = subprocess.run(["sh", SCRIPT, tmp_path], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert f"{missing}_password is missing or empty" in result.stderr


def test_a_server_that_never_comes_is_given_up(tmp_path: Path) -> None:
    """With a sleep that takes no time, so that only the count of attempts ends it."""
    for name in ROLES:
        (tmp_path / f"{name}_password").write_text("x")
    program(tmp_path / "sleep", "exit 0")
    program(tmp_path / "pg_isready", f"echo asked >>{tmp_path}/attempts; exit 2")
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    result = subprocess.run(["sh", SCRIPT, tmp_path], env={"PATH": path}, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "did not accept connections on 127.0.0.1 within 300 s" in result.stderr
    assert (tmp_path / "attempts").read_text().count("asked") == 301


def test_no_password_stands_on_a_command_line(server: Server, tmp_path: Path) -> None:
    recorder = tmp_path / "bin"
    recorder.mkdir()
    program(recorder / "psql", f'echo "$@" >{tmp_path}/arguments; cat >{tmp_path}/input')
    assert server.run_roles(ROTATED, path=str(recorder)).returncode == 0
    said = (tmp_path / "arguments").read_text() + (tmp_path / "input").read_text()
    assert "ALTER ROLE todo_app" in said
    assert not any(password in said for password in ROTATED.values())


def program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
