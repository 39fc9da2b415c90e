"""The database goes away in every way it can; no answer is a 500, and none fails to come."""

import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import make_url

from app.middleware import DEADLINE
from backend_process import BackendProcess, eventually
from dev.database import Postgres
from stalling_proxy import StallingProxy
from statements import execute

REQUESTS = (("GET", "/todos/"), ("POST", "/todos/"), ("GET", "/todos/1"), ("PUT", "/todos/1"), ("DELETE", "/todos/1"))


def assert_all_unavailable(client: TestClient) -> None:
    for method, path in REQUESTS:
        answer = client.request(method, path, json={"title": "x"})
        assert answer.status_code == 503, answer.text
        assert int(answer.headers["Retry-After"]) > 0
        assert "database" in answer.json()["detail"]


def test_deadline_leaves_time_for_the_answer() -> None:
    assert DEADLINE < 3


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


def test_wrong_password(serve: Callable[..., TestClient], postgres: Postgres) -> None:
    client = serve(postgres.url(), database_password="wrong")
    assert_all_unavailable(client)
    assert "password authentication failed" in client.get("/readyz").json()["database"]


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


def test_connection_attempts_vanish(
    serve: Callable[..., TestClient], full_backlog: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.readiness.BUDGET", 1.0)
    client = serve(f"postgresql://todo_app@127.0.0.1:{full_backlog}/todo")
    answer = client.get("/todos/")
    assert answer.status_code == 503
    assert client.get("/readyz").json()["database"] == "no answer within 1 s"
    assert client.get("/healthz").status_code == 200


def test_established_connections_fall_silent_and_recover(output: Path, postgres: Postgres, database_url: str) -> None:
    with StallingProxy(postgres.port) as proxy:
        url = make_url(database_url).set(port=proxy.port).render_as_string(hide_password=False)
        with BackendProcess(output, DATABASE_URL=url) as backend, httpx.Client(base_url=backend.url) as client:
            assert client.get("/todos/").json() == []
            eventually(lambda: client.get("/readyz").is_success)
            proxy.stall()
            for method, path in REQUESTS[:2]:
                answer = client.request(method, path, json={"title": "x"}, timeout=10)
                assert answer.status_code == 503, answer.text
                assert answer.headers["Retry-After"]
            ready = client.get("/readyz")
            assert (ready.status_code, ready.json()["database"]) == (503, "no answer within 1 s")
            assert client.get("/healthz").status_code == 200
            proxy.resume()
            eventually(lambda: client.get("/todos/").is_success)
            eventually(lambda: client.get("/readyz").is_success)
            proxy.stall()
            assert client.get("/todos/", timeout=10).status_code == 503
            backend.process.send_signal(signal.SIGTERM)
            assert backend.process.wait(20) == 0


def test_server_restarts(tmp_path: Path, serve: Callable[..., TestClient], migrated_template: str) -> None:
    assert migrated_template
    with Postgres(tmp_path / "own", durable=False) as server:
        client = serve(server.url())
        assert client.get("/readyz").json()["database"] == "ok"
        server.stop()
        assert_all_unavailable(client)
        server.start()
        # The table is missing there, which is no outage; the connection is what counts.
        eventually(lambda: client.get("/readyz").json()["database"] == "ok")


def test_connections_cut_by_the_server_are_replaced(client: TestClient, postgres: Postgres) -> None:
    assert client.get("/todos/").status_code == 200
    execute(postgres.url(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pod-1'")
    assert client.get("/todos/").status_code == 200


def test_lock_held_by_somebody_else_is_not_waited_for(
    client: TestClient,
) -> None:
    todo = client.post("/todos/", json={"title": "x"}).json()
    engine = client.app.state.database.engine  # type: ignore[attr-defined]
    with engine.connect() as connection:
        connection.exec_driver_sql("LOCK TABLE todo IN ACCESS EXCLUSIVE MODE")
        answer = client.put(f"/todos/{todo['id']}", json={"completed": True})
    assert answer.status_code == 503
    assert client.put(f"/todos/{todo['id']}", json={"completed": True}).json()["completed"] is True


def test_exhausted_pool_is_not_waited_for_and_does_not_make_the_pod_unready(client: TestClient) -> None:
    engine = client.app.state.database.engine  # type: ignore[attr-defined]
    with ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(engine.connect())
        assert client.get("/todos/").status_code == 503
        assert client.get("/readyz").status_code == 200
    assert client.get("/todos/").status_code == 200
