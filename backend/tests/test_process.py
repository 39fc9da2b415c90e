"""The backend as a container runs it."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from app.__main__ import Server
from app.main import create_app
from app.version import source_digest
from backend_process import BACKEND, PATIENCE, BackendProcess, environment, eventually
from conftest import settings_for
from dev.database import Postgres
from statements import execute


def test_missing_setting_is_named_in_one_line() -> None:
    """And is missed only then: importing the application needs neither settings nor a database."""
    done = subprocess.run(
        [sys.executable, "-m", "app"], cwd=BACKEND, env=environment(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("todo-backend: DATABASE_URL is missing; set it in the environment or in the file ")
    assert len(done.stderr.splitlines()) == 1


def test_taken_port_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = settings_for("postgresql://nowhere/todo", port=taken.getsockname()[1])
        with pytest.raises(SystemExit) as ended:
            asyncio.run(Server(create_app(settings), settings).serve())
    assert ended.value.code != 0
    assert "address already in use" in caplog.text


def test_lines_are_json_with_the_request_id_and_without_probes(running_backend: BackendProcess) -> None:
    client = running_backend.client
    client.get("/readyz")
    client.get("/todos/2147483647?secret=1", headers={"X-Request-ID": "my-id"})
    client.get("/nothing%0Ahere", headers={"X-Request-ID": "last"})
    eventually(lambda: '"last"' in running_backend.log)
    # The lines of other tests' requests may come in between.
    lines = {line.get("request_id"): line for line in map(json.loads, running_backend.log.splitlines())}
    first, second = lines["my-id"], lines["last"]
    assert (first["route"], first["status"]) == ("/todos/{todo_id}", 404)
    assert first["msg"].startswith("GET /todos/2147483647 404 in ")
    assert (first["method"], first["path"]) == ("GET", "/todos/2147483647")
    assert isinstance(first["duration_ms"], float)
    assert {"ts", "level", "logger"} <= first.keys()
    assert (second["route"], second["status"]) == ("unmatched", 404)
    assert not {"secret", "/healthz", "/readyz"} & set(running_backend.log.replace('"', " ").split())


def test_metrics_have_a_port_of_their_own(running_backend: BackendProcess) -> None:
    running_backend.client.get("/todos/2147483647")
    counted = 'http_request_duration_seconds_count{method="GET",route="/todos/{todo_id}",status="404"}'
    # A request is counted after it has been answered.
    eventually(lambda: counted in running_backend.metrics)
    metrics = running_backend.client.get(f"http://127.0.0.1:{running_backend.metrics_port}/metrics")
    assert metrics.headers["Content-Type"].startswith("text/plain")
    assert "process_resident_memory_bytes" in metrics.text
    assert running_backend.client.get("/metrics").status_code == 404


def test_version_tells_which_sources_were_loaded(running_backend: BackendProcess) -> None:
    version = running_backend.client.get("/version").json()
    assert version == {"build": "dev", "commit": "dev", "pod": "pod-2", "code": source_digest(BACKEND / "app")}


def test_connections_are_named_after_the_pod(running_backend: BackendProcess, postgres: Postgres) -> None:
    named = "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = 'running' AND application_name = 'pod-2'"
    running_backend.client.get("/todos/")
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
    answer = running_backend.client.post("/todos/", content=(b"x" * 1_000 for _ in range(200)))
    assert answer.status_code == 413


def test_draining_process_still_answers_and_ends_when_the_last_request_is_finished(
    output: Path, empty_table: str
) -> None:
    rest_is_sent = threading.Event()

    def body() -> Iterator[bytes]:
        yield b'{"title": '
        # The deadline counts from the end of the body, so that a busy machine has all the time that it needs.
        assert rest_is_sent.wait(PATIENCE)
        yield b'"x"}'

    with (
        ThreadPoolExecutor() as threads,
        BackendProcess(output, DATABASE_URL=empty_table, DRAIN_SECONDS="60") as backend,
    ):
        client = backend.client
        assert "Connection" not in client.get("/todos/").headers
        backend.process.send_signal(signal.SIGTERM)
        eventually(lambda: client.get("/readyz").json()["draining"])
        assert client.get("/readyz").status_code == 503
        answer = client.get("/todos/")
        assert (answer.status_code, answer.headers["Connection"]) == (200, "close")
        headers = {"Content-Type": "application/json"}
        request = threads.submit(client.post, "/todos/", content=body(), headers=headers, timeout=PATIENCE)
        eventually(lambda: "http_requests_in_progress 1.0" in backend.metrics)
        # A second signal ends the drain.
        backend.process.send_signal(signal.SIGTERM)
        eventually(lambda: "Shutting down" in backend.log)
        rest_is_sent.set()
        assert request.result().status_code == 200
        # 0 and not 143: process 1 of a container cannot die of its own signal either.
        assert backend.process.wait(PATIENCE) == 0


def test_keyboard_interrupt_ends_the_process_at_once(output: Path, empty_table: str) -> None:
    with BackendProcess(output, DATABASE_URL=empty_table, DRAIN_SECONDS="60") as backend:
        backend.process.send_signal(signal.SIGINT)
        # Sooner than the drain would end.
        assert backend.process.wait(30) == 0
    assert "Traceback" not in backend.log
