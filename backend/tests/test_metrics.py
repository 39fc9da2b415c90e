import os
import socket
from contextlib import ExitStack

import httpx
import pytest
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry

from app.metrics import Metrics


def registry(client: TestClient) -> CollectorRegistry:
    found: CollectorRegistry = client.app.state.metrics.registry  # type: ignore[attr-defined]
    return found


def count(client: TestClient, method: str, route: str, status: int) -> float | None:
    labels = {"method": method, "route": route, "status": str(status)}
    return registry(client).get_sample_value("http_request_duration_seconds_count", labels)


def test_requests_are_counted_by_route_and_not_by_path(client: TestClient) -> None:
    for todo_id in range(1, 6):
        client.get(f"/todos/{todo_id}")
    assert count(client, "GET", "/todos/{todo_id}", 404) == 5


def test_unknown_paths_and_methods_share_one_label(client: TestClient) -> None:
    for number in range(5):
        client.get(f"/nothing/{number}")
        client.request(f"METHOD{number}", "/todos/")
    assert count(client, "GET", "unmatched", 404) == 5
    samples = {
        sample.labels["method"]
        for metric in registry(client).collect()
        for sample in metric.samples
        if "method" in sample.labels
    }
    assert samples == {"GET", "other"}


def test_nothing_is_in_progress_afterwards(client: TestClient) -> None:
    client.get("/todos/")
    assert registry(client).get_sample_value("http_requests_in_progress") == 0


def test_pool_is_measured(client: TestClient) -> None:
    def connections(state: str) -> float | None:
        return registry(client).get_sample_value("database_pool_connections", {"state": state})

    engine = client.app.state.database.engine  # type: ignore[attr-defined]
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(engine.connect())
        assert (connections("in_use"), connections("idle")) == (2, 0)
    assert (connections("in_use"), connections("idle")) == (0, 2)


def test_build_is_named(client: TestClient) -> None:
    code = client.get("/version").json()["code"]
    labels = {"build": "dev", "commit": "dev", "code": code}
    assert registry(client).get_sample_value("todo_build_info", labels) == 1


def test_socket_that_was_passed_in_is_served_by_several_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as passed:
        port = passed.getsockname()[1]
        monkeypatch.setattr("app.metrics.FIRST_PASSED", passed.fileno() - 1)
        monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
        monkeypatch.setenv("LISTEN_FDNAMES", "other:metrics")
        with Metrics().serve(port), Metrics().serve(port):
            # Each wakes both, and one of them comes too late.
            assert all(httpx.get(f"http://127.0.0.1:{port}/metrics").is_success for _ in range(50))
        with Metrics().serve(port):
            assert httpx.get(f"http://127.0.0.1:{port}/metrics").is_success


def test_socket_that_was_passed_to_another_process_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getppid()))
    monkeypatch.setenv("LISTEN_FDNAMES", "metrics")
    with socket.create_server(("127.0.0.1", 0)) as own:
        port = own.getsockname()[1]
    with Metrics().serve(port):
        assert httpx.get(f"http://127.0.0.1:{port}/metrics").is_success
