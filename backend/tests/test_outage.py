"""The database goes away in every way it can; no answer is a 500, and none fails to come."""

import logging
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import make_url, text
from sqlmodel import col, func, select

from app.database import ACQUISITION, ANSWER, CONNECT, POOL_WAIT, STATEMENT, DatabaseSession
from app.logs import JsonFormatter
from app.models import Todo
from backend_process import PATIENCE, BackendProcess, eventually
from dev.database import Postgres
from stalling_proxy import StallingProxy
from statements import execute
from tests.postgres import new_server

REQUESTS = (("GET", "/todos/"), ("POST", "/todos/"), ("GET", "/todos/1"), ("PUT", "/todos/1"), ("DELETE", "/todos/1"))


def assert_all_unavailable(client: TestClient) -> None:
    for method, path in REQUESTS:
        answer = client.request(method, path, json={"title": "x"})
        assert answer.status_code == 503, answer.text
        assert int(answer.headers["Retry-After"]) > 0
        assert "database" in answer.json()["detail"]


def test_limits_leave_time_for_the_answer() -> None:
    """A constant each: the tests' own process is given more time than a cluster is."""
    assert max(POOL_WAIT, CONNECT) < ACQUISITION < 3
    assert STATEMENT < ANSWER < 3


def test_nothing_listens(serve: Callable[..., TestClient]) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        client = serve(f"postgresql://todo_app@127.0.0.1:{bound.getsockname()[1]}/todo")
        assert_all_unavailable(client)
        ready = client.get("/readyz")
    assert ready.status_code == 503
    assert "Connection refused" in ready.json()["database"]
    assert client.get("/healthz").status_code == 200
    assert client.get("/version").status_code == 200


def test_wrong_password_is_told_without_the_password(
    serve: Callable[..., TestClient], postgres: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        client = serve(postgres.url(), database_password="hunter2")
        assert_all_unavailable(client)
        ready = client.get("/readyz")
    assert "password authentication failed" in ready.json()["database"]
    log = "\n".join(map(JsonFormatter().format, caplog.records))
    assert "password authentication failed" in log
    for shown in (log, ready.text):
        assert "hunter2" not in shown
        assert postgres.url() not in shown


def test_password_may_change_to_the_next_one_at_any_moment(
    serve: Callable[..., TestClient], postgres: Postgres, database_url: str
) -> None:
    role, name = f"rotated_{uuid4().hex}", make_url(database_url).database or ""
    execute(postgres.url(), f"CREATE ROLE {role} LOGIN PASSWORD 'first'")
    execute(postgres.url(name), f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
    url = make_url(database_url).set(username=role, password="unused").render_as_string(hide_password=False)
    client = serve(url, database_password="first", database_password_next="second")
    pool = client.app.state.database.engine.pool  # type: ignore[attr-defined]
    for password, status in (("second", 200), ("first", 200), ("third", 503)):
        assert client.get("/readyz").status_code == 200
        execute(postgres.url(), f"ALTER ROLE {role} PASSWORD '{password}'")
        # As if every connection had just come to its age.
        pool.dispose()
        assert client.get("/todos/").status_code == status
    execute(postgres.url(name), f"DROP OWNED BY {role}")
    execute(postgres.url(), f"DROP ROLE {role}")


@pytest.fixture
def full_backlog() -> Iterator[int]:
    """Return a port that neither accepts nor refuses connections, as behind a firewall that drops packets."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        port = listener.getsockname()[1]
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(("127.0.0.1", port))
        yield port


def test_connection_attempts_vanish(serve: Callable[..., TestClient], full_backlog: int) -> None:
    client = serve(f"postgresql://todo_app@127.0.0.1:{full_backlog}/todo")
    with ThreadPoolExecutor() as threads:
        todos, ready = threads.map(client.get, ("/todos/", "/readyz"))
    assert (todos.status_code, ready.status_code) == (503, 503)
    # Whichever comes first, the kernel's limit or that of PostgreSQL's client.
    assert re.search("timed out|timeout expired", ready.json()["database"])
    assert client.get("/healthz").status_code == 200


def test_established_connections_fall_silent_and_recover(output: Path, postgres: Postgres, database_url: str) -> None:
    with StallingProxy(postgres.port) as proxy:
        url = make_url(database_url).set(port=proxy.port).render_as_string(hide_password=False)
        with BackendProcess(output, DATABASE_URL=url) as backend, ThreadPoolExecutor() as threads:
            client = backend.client
            assert client.get("/todos/").json() == []
            eventually(lambda: client.get("/readyz").is_success)
            proxy.stall()
            requests = [
                threads.submit(client.request, method, path, json={"title": "x"}, timeout=PATIENCE)
                for method, path in REQUESTS[:2]
            ]
            for request in requests:
                assert request.result().status_code == 503, request.result().text
                assert request.result().headers["Retry-After"]
            ready = client.get("/readyz", timeout=PATIENCE)
            assert ready.status_code == 503
            # Whichever comes first, the check's own limit or that of the answer, which are as long.
            assert re.fullmatch(r"no answer (within 1|from the database within 1\.\d) s", ready.json()["database"])
            assert client.get("/healthz").status_code == 200
            proxy.resume()
            eventually(lambda: client.get("/todos/").is_success)
            eventually(lambda: client.get("/readyz").is_success)
            proxy.stall()
            assert client.get("/todos/", timeout=PATIENCE).status_code == 503
            backend.process.send_signal(signal.SIGTERM)
            assert backend.process.wait(PATIENCE) == 0


def test_server_restarts(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, serve: Callable[..., TestClient]
) -> None:
    with new_server(tmp_path_factory, tmp_path / "own") as server:
        client = serve(server.url())
        assert client.get("/readyz").json()["database"] == "ok"
        server.stop()
        assert_all_unavailable(client)
        server.start()
        # The table is missing there, which is no outage; the connection is what counts.
        eventually(lambda: client.get("/readyz").json()["database"] == "ok")


def test_connections_cut_by_the_server_are_replaced(own_client: TestClient, postgres: Postgres) -> None:
    assert own_client.get("/todos/").status_code == 200
    # Returns when they have ended.
    cut = "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE application_name = 'pod-1'"
    assert execute(postgres.url(), cut)
    assert own_client.get("/todos/").status_code == 200


def test_lock_held_by_somebody_else_is_not_waited_for(own_client: TestClient) -> None:
    todo = own_client.post("/todos/", json={"title": "x"}).json()
    engine = own_client.app.state.database.engine  # type: ignore[attr-defined]
    with engine.connect() as connection:
        connection.exec_driver_sql("LOCK TABLE todo IN ACCESS EXCLUSIVE MODE")
        answer = own_client.put(f"/todos/{todo['id']}", json={"completed": True})
    assert answer.status_code == 503
    assert own_client.put(f"/todos/{todo['id']}", json={"completed": True}).json()["completed"] is True


def test_slow_endpoint_is_no_slow_database(
    own_client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An export, an upload to somebody else: what an endpoint does besides its statements takes as long as it takes."""
    monkeypatch.setattr("app.database.ACQUISITION", 0.5)
    monkeypatch.setattr("app.database.ANSWER", 0.5)

    def export(session: DatabaseSession) -> int:
        before = session.exec(select(func.count(col(Todo.id)))).one()
        # Longer than both, and nothing that could be awaited: the time itself is what is tried.
        time.sleep(1.5)
        session.add(Todo(title="exported"))
        session.commit()
        return before

    own_client.app.get("/export")(export)  # type: ignore[attr-defined]
    assert own_client.get("/export").json() == 0
    assert [todo["title"] for todo in own_client.get("/todos/").json()] == ["exported"]
    assert "database" not in caplog.text


def test_statement_that_takes_too_long_is_told_from_a_lost_database(own_client: TestClient) -> None:
    def report(session: DatabaseSession) -> None:
        session.execute(text("SELECT pg_sleep(60)"))

    own_client.app.get("/report")(report)  # type: ignore[attr-defined]
    answer = own_client.get("/report")
    assert (answer.status_code, answer.json()["detail"]) == (503, "The database took too long; try again in a moment.")
    assert own_client.get("/todos/").status_code == 200


@pytest.mark.parametrize(
    ("code", "detail"),
    (
        ("disk_full", "The database's disk is full"),
        ("deadlock_detected", "Another request has changed the same"),
        ("serialization_failure", "Another request has changed the same"),
    ),
)
def test_what_the_database_cannot_do_now_is_told_from_a_lost_database(
    own_client: TestClient, code: str, detail: str
) -> None:
    def refused(session: DatabaseSession) -> None:
        session.execute(text(f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{code}'; END $$"))

    own_client.app.get("/refused")(refused)  # type: ignore[attr-defined]
    answer = own_client.get("/refused")
    assert (answer.status_code, answer.json()["detail"]) == (503, f"{detail}; try again in a moment.")
    assert own_client.get("/todos/").status_code == 200


def test_exhausted_connections_are_told_from_a_lost_database(
    serve: Callable[..., TestClient], postgres: Postgres, database_url: str
) -> None:
    role = f"few_{uuid4().hex}"
    execute(postgres.url(), f"CREATE ROLE {role} LOGIN PASSWORD 'few' CONNECTION LIMIT 0")
    try:
        url = make_url(database_url).set(username=role, password="few").render_as_string(hide_password=False)
        answer = serve(url).get("/todos/")
    finally:
        execute(postgres.url(), f"DROP ROLE {role}")
    detail = "The database has no connection left; try again in a moment."
    assert (answer.status_code, answer.json()["detail"]) == (503, detail)


def test_exhausted_pool_is_not_waited_for_and_does_not_make_the_pod_unready(own_client: TestClient) -> None:
    engine = own_client.app.state.database.engine  # type: ignore[attr-defined]
    with ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(engine.connect())
        answer = own_client.get("/todos/")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
        assert answer.json()["detail"] == "All connections to the database are in use; try again in a moment."
        assert own_client.get("/readyz").status_code == 200
    assert own_client.get("/todos/").status_code == 200
