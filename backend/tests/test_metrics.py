import os
import socket
from contextlib import ExitStack

import pytest
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry

from app.metrics import Metrics
from backend_process import answers
from tests.ports import reserved_port


def registry(client: TestClient) -> CollectorRegistry:
    found: CollectorRegistry = client.app.state.metrics.registry  # type: ignore[attr-defined]
    return found


def count(client: TestClient, method: str, route: str, status: int) -> float | None:
    labels = {"method": method, "route": route, "status": str(status)}
    return registry(client).get_sample_value("http_request_duration_seconds_count", labels)


def test_requests_are_counted_by_route_and_not_by_path(own_client: TestClient) -> None:
    for todo_id in range(1, 6):
        own_client.get(f"/todos/{todo_id}")
    assert count(own_client, "GET", "/todos/{todo_id}", 404) == 5


def test_unknown_paths_and_methods_share_one_label(own_client: TestClient) -> None:
    for number in range(5):
        own_client.get(f"/nothing/{number}")
        own_client.request(f"METHOD{number}", "/todos/")
    assert count(own_client, "GET", "unmatched", 404) == 5
    samples = {
        sample.labels["method"]
        for metric in registry(own_client).collect()
        for sample in metric.samples
        if "method" in sample.labels
    }
    assert samples == {"GET", "other"}


def test_nothing_is_in_progress_afterwards(own_client: TestClient) -> None:
    own_client.get("/todos/")
    assert registry(own_client).get_sample_value("http_requests_in_progress") == 0


def test_pool_is_measured(own_client: TestClient) -> None:
    def connections(state: str) -> float | None:
        return registry(own_client).get_sample_value("database_pool_connections", {"state": state})

    engine = own_client.app.state.database.engine  # type: ignore[attr-defined]
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(engine.connect())
        assert (connections("in_use"), connections("idle")) == (2, 0)
    assert (connections("in_use"), connections("idle")) == (0, 2)


def test_build_is_named(own_client: TestClient) -> None:
    code = own_client.get("/version").json()["code"]
    labels = {"build": "dev", "commit": "dev", "code": code}
    assert registry(own_client).get_sample_value("todo_build_info", labels) == 1


def test_socket_that_was_passed_in_is_served_by_several_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as passed:
        port = passed.getsockname()[1]
        monkeypatch.setattr("app.metrics.FIRST_PASSED", passed.fileno() - 1)
        monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
        monkeypatch.setenv("LISTEN_FDNAMES", "other:metrics")
        with Metrics().serve(port), Metrics().serve(port):
            # Each wakes both, and one of them comes too late.
            assert all(answers(port, "/metrics") for _ in range(50))
        with Metrics().serve(port):
            assert answers(port, "/metrics")


def test_socket_that_was_passed_to_another_process_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getppid()))
    monkeypatch.setenv("LISTEN_FDNAMES", "metrics")
    with reserved_port() as port, Metrics().serve(port):
        assert answers(port, "/metrics")
