"""The backend as a container runs it."""

import json
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import httpx
import psycopg2
import pytest

from app.__main__ import Server
from app.main import create_app
from app.version import source_digest
from backend_process import BACKEND, BackendProcess, environment, eventually
from conftest import settings_for
from dev.database import Postgres
from statements import execute


@pytest.fixture
def backend(output: Path, database_url: str) -> BackendProcess:
    return BackendProcess(output, DATABASE_URL=database_url)


def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=BACKEND,
        env=environment(**settings),
        capture_output=True,
        text=True,
        check=False,
    )


def test_missing_setting_is_named_in_one_line() -> None:
    done = run("-m", "app")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("todo-backend: DATABASE_URL is missing; set it in the environment or in the file ")
    assert len(done.stderr.splitlines()) == 1


def test_import_needs_neither_settings_nor_database() -> None:
    done = run("-c", "import app.main; print(app.main.app.title)")
    assert (done.returncode, done.stdout, done.stderr) == (0, "Todo API\n", "")


def test_taken_port_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run("-m", "app", DATABASE_URL="postgresql://nowhere/todo", PORT=port, METRICS_PORT="0")
    assert done.returncode != 0
    assert "address already in use" in done.stdout
    assert done.stderr == ""


def test_lines_are_json_with_the_request_id_and_without_probes(running_backend: BackendProcess) -> None:
    before = len(running_backend.log)
    httpx.get(f"{running_backend.url}/readyz")
    httpx.get(f"{running_backend.url}/todos/2147483647?secret=1", headers={"X-Request-ID": "my-id"})
    httpx.get(f"{running_backend.url}/nothing%0Ahere", headers={"X-Request-ID": "last"})
    eventually(lambda: "last" in running_backend.log)
    first, second = (json.loads(line) for line in running_backend.log[before:].splitlines())
    assert (first["route"], first["status"]) == ("/todos/{todo_id}", 404)
    assert first["msg"].startswith("GET /todos/2147483647 404 in ")
    assert (first["method"], first["path"], first["request_id"]) == ("GET", "/todos/2147483647", "my-id")
    assert isinstance(first["duration_ms"], float)
    assert {"ts", "level", "logger"} <= first.keys()
    assert (second["route"], second["status"]) == ("unmatched", 404)
    assert all(json.loads(line) for line in running_backend.log.splitlines())
    assert not {"secret", "/healthz", "/readyz"} & set(running_backend.log.replace('"', " ").split())


def test_password_is_never_logged(output: Path, database_url: str) -> None:
    password = "hunter2"
    with BackendProcess(output, DATABASE_URL=database_url, DATABASE_PASSWORD=password) as backend:
        assert httpx.get(f"{backend.url}/todos/").status_code == 503
        assert password not in httpx.get(f"{backend.url}/readyz").text
    assert "password authentication failed" in backend.log
    assert password not in backend.log
    assert database_url not in backend.log


def test_metrics_have_a_port_of_their_own(running_backend: BackendProcess) -> None:
    httpx.get(f"{running_backend.url}/todos/2147483647")
    metrics = httpx.get(f"http://127.0.0.1:{running_backend.metrics_port}/metrics")
    assert metrics.headers["Content-Type"].startswith("text/plain")
    assert 'http_request_duration_seconds_count{method="GET",route="/todos/{todo_id}",status="404"}' in metrics.text
    assert "process_resident_memory_bytes" in metrics.text
    assert httpx.get(f"{running_backend.url}/metrics").status_code == 404


def test_version_tells_which_sources_were_loaded(running_backend: BackendProcess) -> None:
    version = httpx.get(f"{running_backend.url}/version").json()
    assert version == {"build": "dev", "commit": "dev", "pod": "pod-2", "code": source_digest(BACKEND / "app")}


def test_connections_are_named_after_the_pod(running_backend: BackendProcess, postgres: Postgres) -> None:
    named = "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = 'running' AND application_name = 'pod-2'"
    httpx.get(f"{running_backend.url}/todos/")
    assert execute(postgres.url(), named) == [(True,)]


def test_connections_are_kept_longer_than_the_proxy_keeps_them() -> None:
    settings = settings_for("postgresql://nowhere/todo")
    config = Server(create_app(settings), settings).config
    assert config.timeout_keep_alive == 75  # the proxy's: 60
    assert (config.access_log, config.proxy_headers) == (False, False)


def test_connection_is_used_again_and_does_not_name_the_server(running_backend: BackendProcess) -> None:
    with httpx.Client(base_url=running_backend.url) as client:
        answers = [client.get("/version") for _ in range(2)]
    assert len({id(answer.extensions["network_stream"]) for answer in answers}) == 1
    assert not any("Server" in answer.headers for answer in answers)


def test_large_chunked_body_is_refused_over_a_real_connection(running_backend: BackendProcess) -> None:
    answer = httpx.post(f"{running_backend.url}/todos/", content=(b"x" * 1_000 for _ in range(200)))
    assert answer.status_code == 413


def test_request_in_flight_is_finished_before_the_process_ends(backend: BackendProcess, database_url: str) -> None:
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'todo'::regclass"
    with ExitStack() as stack:
        stack.enter_context(backend)
        threads = stack.enter_context(ThreadPoolExecutor())
        blocker = stack.enter_context(closing(psycopg2.connect(database_url)))
        blocker.cursor().execute("LOCK TABLE todo IN ACCESS EXCLUSIVE MODE")
        request = threads.submit(httpx.post, f"{backend.url}/todos/", json={"title": "x"}, timeout=20)
        eventually(lambda: execute(database_url, waiting) == [(1,)])
        backend.process.send_signal(signal.SIGTERM)
        eventually(lambda: "Shutting down" in backend.log)
        blocker.rollback()
        assert request.result().status_code == 200
        # 0 and not 143: process 1 of a container cannot die of its own signal either.
        assert backend.process.wait(20) == 0


def test_draining_process_still_answers_but_says_so(output: Path, database_url: str) -> None:
    with BackendProcess(output, DATABASE_URL=database_url, DRAIN_SECONDS="60") as backend:
        assert "Connection" not in httpx.get(f"{backend.url}/todos/").headers
        backend.process.send_signal(signal.SIGTERM)
        eventually(lambda: httpx.get(f"{backend.url}/readyz").json()["draining"])
        assert httpx.get(f"{backend.url}/readyz").status_code == 503
        answer = httpx.get(f"{backend.url}/todos/")
        assert (answer.status_code, answer.headers["Connection"]) == (200, "close")
        # A second signal ends the drain.
        backend.process.send_signal(signal.SIGTERM)
        assert backend.process.wait(20) == 0


def test_keyboard_interrupt_ends_the_process_at_once(output: Path, database_url: str) -> None:
    with BackendProcess(output, DATABASE_URL=database_url, DRAIN_SECONDS="60") as backend:
        backend.process.send_signal(signal.SIGINT)
        assert backend.process.wait(20) == 0
    assert "Traceback" not in backend.log
