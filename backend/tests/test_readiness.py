import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from fastapi.testclient import TestClient

from app.readiness import MIGRATIONS, Readiness, Revisions
from statements import execute

NONE: frozenset[str] = frozenset()


@pytest.mark.parametrize(
    ("applied", "accepted"),
    (
        ({"0002"}, True),  # our own
        ({"0003"}, True),  # newer: not one of ours
        ({"0001"}, False),  # older
        (set(), False),  # never migrated
        ({"0002", "0003"}, True),
        ({"0001", "0003"}, False),
    ),
)
def test_own_revision_or_newer_is_accepted(applied: set[str], accepted: bool) -> None:
    assert Revisions("0002", frozenset({"0001", "0002"})).accept(frozenset(applied)) is accepted


def test_revisions_are_read_from_the_migrations() -> None:
    revisions = Revisions.of(MIGRATIONS)
    names = {path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("*.py")}
    assert revisions.known == names
    assert revisions.head == max(names)


@pytest.mark.core
def test_ready_on_a_migrated_database(client: TestClient) -> None:
    answer = client.get("/readyz")
    head = Revisions.of(MIGRATIONS).head
    assert answer.status_code == 200
    assert answer.json() == {"status": "ready", "database": "ok", "schema_revision": head, "draining": False}


def test_not_ready_without_tables(serve: Callable[..., TestClient], empty_database: str) -> None:
    answer = serve(empty_database).get("/readyz")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert answer.json()["schema_revision"].startswith("none, but this code needs ")
    assert answer.json()["database"] == "ok"


def test_ready_on_a_newer_schema(serve: Callable[..., TestClient], database_url: str) -> None:
    execute(database_url, "UPDATE alembic_version SET version_num = 'from_the_future'")
    answer = serve(database_url).get("/readyz")
    assert (answer.status_code, answer.json()["schema_revision"]) == (200, "from_the_future")


def test_not_ready_on_an_older_schema_until_the_migration_is_taken_back(
    serve: Callable[..., TestClient], database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "versions").mkdir()
    for script in (*MIGRATIONS.glob("*.py"), *(MIGRATIONS / "versions").glob("*.py")):
        (tmp_path / script.relative_to(MIGRATIONS)).write_text(script.read_text())
    head = Revisions.of(MIGRATIONS).head
    added = tmp_path / "versions/next.py"
    added.write_text(f'revision = "next"\ndown_revision = "{head}"\n')
    client = serve(database_url)
    state = client.app.state  # type: ignore[attr-defined]
    monkeypatch.setattr(state, "readiness", Readiness(state.database.probe, tmp_path))
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["schema_revision"] == f"{head}, but this code needs next"
    added.unlink()
    monkeypatch.setattr("app.readiness.FRESH", 0)
    assert client.get("/readyz").json()["schema_revision"] == head


def test_unreadable_revision_is_a_schema_problem(serve: Callable[..., TestClient], empty_database: str) -> None:
    execute(empty_database, "CREATE TABLE alembic_version (other integer)")
    answer = serve(empty_database).get("/readyz").json()
    assert answer["database"] == "ok"
    assert "version_num" in answer["schema_revision"]


def test_not_ready_while_draining(own_client: TestClient) -> None:
    own_client.app.state.readiness.draining = True  # type: ignore[attr-defined]
    answer = own_client.get("/readyz")
    assert answer.status_code == 503
    assert (answer.json()["draining"], answer.json()["database"]) == (True, "ok")
    assert own_client.get("/todos/").headers["Connection"] == "close"
    assert own_client.get("/healthz").status_code == 200


def test_result_is_used_again_for_a_second(own_client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    readiness = own_client.app.state.readiness  # type: ignore[attr-defined]
    inspect = Mock(wraps=readiness._inspect)
    monkeypatch.setattr(readiness, "_inspect", inspect)
    clock = time.monotonic()
    # Not the clock itself, by which the event loop runs as well.
    monkeypatch.setattr("app.readiness.time", SimpleNamespace(monotonic=lambda: clock))
    assert {own_client.get("/readyz").status_code for _ in range(5)} == {200}
    assert inspect.call_count == 1
    clock += 1
    assert own_client.get("/readyz").status_code == 200
    assert inspect.call_count == 2


def test_check_that_hangs_is_not_waited_for(own_client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.readiness.BUDGET", 0.1)
    readiness = own_client.app.state.readiness  # type: ignore[attr-defined]
    is_over = threading.Event()
    monkeypatch.setattr(readiness, "_inspect", is_over.wait)
    try:
        answer = own_client.get("/readyz")
    finally:
        is_over.set()
    assert (answer.status_code, answer.json()["database"]) == (503, "no answer within 0 s")
