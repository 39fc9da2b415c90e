import logging
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from alembic import command
from alembic.config import Config
from psycopg2.errors import InsufficientPrivilege
from sqlalchemy import create_engine, inspect, make_url
from sqlalchemy.pool import NullPool

from app.migrate import CONFIGURATION, MigrationError, main, migrate
from app.readiness import MIGRATIONS, Revisions
from app.settings import DRIVER
from backend_process import BACKEND, environment, eventually
from dev.database import Postgres
from stalling_proxy import StallingProxy
from statements import execute

HEAD = Revisions.of(MIGRATIONS).head

Run = Callable[..., tuple[int, str, str]]


def configuration(url: str) -> Config:
    return Config(CONFIGURATION, attributes={"url": make_url(url).set(drivername=DRIVER)})


def tables(url: str) -> set[str]:
    engine = create_engine(make_url(url).set(drivername=DRIVER), poolclass=NullPool)
    return set(inspect(engine).get_table_names())


@pytest.mark.core
def test_up_down_and_up_again(empty_database: str) -> None:
    for _ in range(2):
        command.upgrade(configuration(empty_database), "head")
        assert tables(empty_database) == {"alembic_version", "todo"}
        command.downgrade(configuration(empty_database), "base")
        assert tables(empty_database) == {"alembic_version"}


@pytest.mark.core
def test_models_and_migrations_agree(database_url: str) -> None:
    command.check(configuration(database_url))


def test_generated_migration_runs_as_it_is(tmp_path: Path, database_url: str) -> None:
    copy_migrations(tmp_path)
    url = make_url(database_url).set(drivername=DRIVER)
    generating = Config(tmp_path / "alembic.ini", attributes={"url": url})
    execute(database_url, "ALTER TABLE todo DROP COLUMN description")
    command.revision(generating, message="Add the description", autogenerate=True, rev_id="next")
    command.upgrade(generating, "head")
    command.check(generating)


def test_migrating_twice_changes_nothing(database_url: str) -> None:
    execute(database_url, "INSERT INTO todo (title) VALUES ('kept')")
    migrate(make_url(database_url).set(drivername=DRIVER))
    assert execute(database_url, "SELECT title, completed FROM todo") == [("kept", False)]


def test_processes_that_migrate_at_once_take_turns_and_log_their_steps(empty_database: str) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "app.migrate"],
            cwd=BACKEND,
            env=environment(DATABASE_URL=empty_database, LOG_FORMAT="human"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    outputs = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert sum(f"Running upgrade  -> {HEAD}" in output for output, _ in outputs) == 1
    for output, errors in outputs:
        assert output.splitlines()[-1].endswith("the schema is up to date")
        assert errors == ""
    assert tables(empty_database) == {"alembic_version", "todo"}


def test_migration_waits_for_its_turn(empty_database: str) -> None:
    waiting = (
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    with closing(psycopg2.connect(empty_database)) as other, ThreadPoolExecutor() as threads:
        other.cursor().execute("SELECT pg_advisory_lock(%s)", (int.from_bytes(b"todo"),))
        migration = threads.submit(migrate, make_url(empty_database).set(drivername=DRIVER))
        try:
            eventually(lambda: execute(empty_database, waiting) == [(1,)])
            assert tables(empty_database) == set()
        finally:
            other.close()
        migration.result()
    assert tables(empty_database) == {"alembic_version", "todo"}


def test_migration_that_waits_for_a_table_lets_others_pass(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Who comes after a statement that waits for a lock waits as well: so it waits for a moment, again and again."""
    add_migration(tmp_path, "wider", "op.execute('ALTER TABLE todo ADD COLUMN wider integer')")
    monkeypatch.setattr("app.migrate.CONFIGURATION", tmp_path / "alembic.ini")
    url = make_url(database_url).set(drivername=DRIVER)
    with (
        caplog.at_level(logging.INFO),
        closing(psycopg2.connect(database_url)) as report,
        ThreadPoolExecutor() as threads,
    ):
        report.cursor().execute("SELECT count(*) FROM todo")
        migration = threads.submit(migrate, url)
        try:
            for attempts in range(1, 3):
                eventually(lambda attempts=attempts: caplog.text.count("a table is in use") >= attempts)  # type: ignore[misc]
                # As the backend does it, whose statements have two seconds.
                execute(database_url, "SET statement_timeout = 2000", "SELECT count(*) FROM todo")
            assert not migration.done()
        finally:
            report.close()
        migration.result()
    assert execute(database_url, "SELECT wider FROM todo") == []


def test_table_that_stays_in_use_is_named(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    add_migration(tmp_path, "wider", "op.execute('ALTER TABLE todo ADD COLUMN wider integer')")
    monkeypatch.setattr("app.migrate.CONFIGURATION", tmp_path / "alembic.ini")
    with closing(psycopg2.connect(database_url)) as report:
        report.cursor().execute("SELECT count(*) FROM todo")
        with pytest.raises(MigrationError, match="canceling statement due to lock timeout"):
            migrate(make_url(database_url).set(drivername=DRIVER), wait=1)


def test_backend_role_may_use_the_tables_but_not_change_them(postgres: Postgres, empty_database: str) -> None:
    execute(postgres.url(), "CREATE ROLE todo_app LOGIN PASSWORD 'app'")
    # As k8s/base/postgres/roles.sh does it, before there is any table.
    defaults = "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO todo_app"
    execute(empty_database, defaults)
    try:
        command.upgrade(configuration(empty_database), "head")
        url = make_url(empty_database).set(username="todo_app", password="app").render_as_string(hide_password=False)
        execute(
            url,
            "INSERT INTO todo (title) VALUES ('x')",
            "UPDATE todo SET completed = true",
            "SELECT * FROM todo, alembic_version",
            "DELETE FROM todo",
        )
        for statement in ("DROP TABLE todo", "DELETE FROM alembic_version", "CREATE TABLE other (id integer)"):
            with pytest.raises(InsufficientPrivilege, match=r"permission denied|must be owner"):
                execute(url, statement)
        command.downgrade(configuration(empty_database), "base")
    finally:
        execute(empty_database, "DROP OWNED BY todo_app")
        execute(postgres.url(), "DROP ROLE todo_app")


def test_connection_that_was_waited_for_is_the_one_that_is_used(empty_database: str) -> None:
    """The network of a new pod may let one connection pass, and not yet the next."""
    url = make_url(empty_database).set(drivername=DRIVER)
    assert url.port is not None
    with StallingProxy(url.port) as proxy:
        migrate(url.set(host="127.0.0.1", port=proxy.port))
        assert proxy.connections == 1
    assert tables(empty_database) == {"alembic_version", "todo"}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Run:
    """Return what runs the command in this process and gives its exit status, its log and its standard error."""
    # The logs stay with pytest.
    monkeypatch.setattr("app.migrate.configure_logs", lambda _: None)
    monkeypatch.delenv("DATABASE_URL", raising=False)

    def run(*arguments: str, **settings: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["app.migrate", *arguments])
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        with caplog.at_level(logging.INFO):
            status = main()
        return status, caplog.text, capsys.readouterr().err

    return run


class Clock:
    """Stands in for the module time: it passes by sleeping alone."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize(
    ("address", "reason"),
    (
        (":hunter2@127.0.0.1:{port}/postgres", "password authentication failed"),
        ("@127.0.0.1:1/postgres", "Connection refused"),
        (":{password}@127.0.0.1:{port}/absent", 'database "absent" does not exist'),
    ),
)
def test_database_that_stays_away_is_named_in_the_last_line(
    postgres: Postgres, run: Run, monkeypatch: pytest.MonkeyPatch, address: str, reason: str
) -> None:
    clock = Clock()
    monkeypatch.setattr("app.migrate.time", clock)
    url = "postgresql://postgres" + address.format(port=postgres.port, password=make_url(postgres.url()).password)
    status, log, errors = run("--wait", "10", DATABASE_URL=url)
    assert (status, clock.now) == (1, 10)
    assert "waiting for the database" in log
    last = errors.splitlines()[-1]
    assert last.startswith("todo-migrate: no connection to the database within 10 s: ")
    assert reason in last
    assert "hunter2" not in log + errors


def test_missing_setting_is_named_in_one_line(run: Run) -> None:
    status, log, errors = run()
    assert (status, log) == (1, "")
    assert errors.startswith("todo-migrate: DATABASE_URL is missing")
    assert len(errors.splitlines()) == 1


def copy_migrations(folder: Path) -> None:
    shutil.copy(CONFIGURATION, folder)
    shutil.copytree(MIGRATIONS, folder / "migrations", ignore=shutil.ignore_patterns("__pycache__"))


def add_migration(folder: Path, name: str, upgrade: str) -> None:
    copy_migrations(folder)
    (folder / f"migrations/versions/{name}.py").write_text(
        f'from alembic import op\n\nrevision = "{name}"\ndown_revision = "{HEAD}"\n\n\ndef upgrade():\n    {upgrade}\n'
    )


@pytest.mark.parametrize(
    ("upgrade", "reason"),
    (
        ("op.execute('CREATE TABLE half (id integer)'); op.execute('SELECT nonsense')", 'column "nonsense" does not'),
        ("op.execute('CREATE TABLE half (id integer)'); raise KeyError('oops')", "oops"),
    ),
)
def test_failing_migration_is_undone_and_named(
    tmp_path: Path, empty_database: str, monkeypatch: pytest.MonkeyPatch, upgrade: str, reason: str
) -> None:
    add_migration(tmp_path, "broken", upgrade)
    monkeypatch.setattr("app.migrate.CONFIGURATION", tmp_path / "alembic.ini")
    with pytest.raises(MigrationError, match=reason):
        migrate(make_url(empty_database).set(drivername=DRIVER))
    assert tables(empty_database) == {"alembic_version", "todo"}


def test_database_that_newer_code_has_migrated_is_left_as_it_is(tmp_path: Path, empty_database: str) -> None:
    # A branch that was left, or a release that was taken back.
    add_migration(tmp_path, "newer", "op.execute('CREATE TABLE newer (id integer)')")
    url = make_url(empty_database).set(drivername=DRIVER)
    command.upgrade(Config(tmp_path / "alembic.ini", attributes={"url": url}), "head")
    with pytest.raises(MigrationError, match="at revision newer, which is not among these migrations"):
        migrate(url)
    assert tables(empty_database) == {"alembic_version", "todo", "newer"}


def test_migrations_that_do_not_follow_each_other_are_named(
    tmp_path: Path, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_migration(tmp_path, "one", "pass")
    (tmp_path / "migrations/versions/two.py").write_text(
        f'revision = "two"\ndown_revision = "{HEAD}"\n\n\ndef upgrade():\n    pass\n'
    )
    monkeypatch.setattr("app.migrate.CONFIGURATION", tmp_path / "alembic.ini")
    with pytest.raises(MigrationError, match="cannot be followed: Multiple head revisions"):
        migrate(make_url(empty_database).set(drivername=DRIVER))


def test_lock_is_free_again_after_a_failure(
    tmp_path: Path, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_migration(tmp_path, "broken", "1 / 0")
    with monkeypatch.context() as patch:
        patch.setattr("app.migrate.CONFIGURATION", tmp_path / "alembic.ini")
        with pytest.raises(MigrationError):
            migrate(make_url(empty_database).set(drivername=DRIVER))
    migrate(make_url(empty_database).set(drivername=DRIVER))
