"""The smoke test passes on a good site and names what is wrong with a bad one, in its last line."""

import importlib.util
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.ports import reserved_port
from tests.smoke.site import SECURITY, Fault, Reply, Site, served

SCRIPT = Path(__file__).parents[2] / "k8s" / "components" / "smoke" / "smoke.py"
CHECKS = 9

Run = Callable[[Site], tuple[int, list[str]]]


@pytest.fixture(scope="session")
def smoke() -> ModuleType:
    spec = importlib.util.spec_from_file_location("smoke", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def closed_address() -> Iterator[str]:
    """Return an address where nothing listens, as behind a policy that denies."""
    with reserved_port() as port:
        yield f"127.0.0.1:{port}"


@pytest.fixture
def impatient(smoke: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the waiting end soon, for what never comes; what comes has all the time that a busy machine needs."""
    monkeypatch.setattr(smoke, "READY_SECONDS", 0.05)
    monkeypatch.setattr(smoke, "REPLICAS_SECONDS", 0.05)


@pytest.fixture
def run(
    smoke: ModuleType, closed_address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Return a function that runs every check against a site and gives the exit status and the lines."""
    monkeypatch.setattr(smoke, "POLL_SECONDS", 0.01)
    monkeypatch.setenv("EXPECTED_REPLICAS", "2")
    monkeypatch.setenv("DENIED_ADDRESSES", closed_address)

    def run(site: Site) -> tuple[int, list[str]]:
        with served(site) as address:
            monkeypatch.setenv("BASE_URL", address)
            status: int = smoke.main()
        return status, capsys.readouterr().out.splitlines()

    return run


def status(method: str, path: str, code: int) -> Fault:
    """Answer a request with another status."""
    return lambda seen_method, seen_path, reply: (
        replace(reply, status=code) if (seen_method, seen_path) == (method, path) else reply
    )


def headers(path: str, change: Callable[[tuple[tuple[str, str], ...]], tuple[tuple[str, str], ...]]) -> Fault:
    """Change the headers of one path's answers."""
    return lambda _, seen, reply: replace(reply, headers=change(reply.headers)) if seen == path else reply


def value(method: str, path: str, change: Callable[[Any], Any], code: int = 200) -> Fault:
    """Change the bodies of the answers, of one status, to one path and what is below it."""

    def fault(seen_method: str, seen: str, reply: Reply) -> Reply:
        hit = seen_method == method and seen.startswith(path) and reply.status == code
        return replace(reply, value=change(reply.value)) if hit else reply

    return fault


def without(name: str) -> Callable[[tuple[tuple[str, str], ...]], tuple[tuple[str, str], ...]]:
    return lambda present: tuple(header for header in present if header[0] != name)


def accept_empty_title(method: str, _: str, reply: Reply) -> Reply:
    return replace(reply, status=200, value={"id": 7}) if (method, reply.status) == ("POST", 422) else reply


ONE = "/api/todos/1"
LAST = "/api/todos/2147483647"
POLICY = ("Content-Security-Policy", SECURITY["Content-Security-Policy"])

PATHS = ("/", "/no-such-page", "/api/todos/", LAST)

FAULTS: tuple[tuple[Fault, str], ...] = (
    (status("GET", "/", 502), "status of GET /: expected 200, saw 502"),
    (value("GET", "/", lambda _: "<p>Welcome to nginx!"), "scripts and styles named by /: expected some, saw none"),
    (status("GET", "/app.js", 404), "/app.js, named by /: expected 200, saw 404"),
    (status("GET", "/style.css", 404), "/style.css, named by /: expected 200, saw 404"),
    (value("GET", "/", lambda _: '<script src="https://cdn.example.com/x.js">'), "saw 'cdn.example.com'"),
    (status("GET", "/no-such-page", 200), "status of GET /no-such-page: expected 404, saw 200"),
    *((headers(path, without(name)), f"on {path}: expected") for path in PATHS for name in SECURITY),
    (headers("/", lambda present: (*present, POLICY)), "Content-Security-Policy headers on /: expected 1, saw 2"),
    (headers("/", lambda present: ((POLICY[0], "default-src *"), *without(POLICY[0])(present))), "saw 'default-src *'"),
    (headers("/api/todos/", without("X-Request-ID")), "X-Request-ID of a request that brought one"),
    (headers("/api/todos/", lambda present: (*present, present[-1])), "X-Request-ID of a request that brought one"),
    (status("POST", "/api/todos/", 201), "status of POST /api/todos/"),
    (value("POST", "/api/todos/", lambda todo: {**todo, "completed": True}), "created todo: expected"),
    (value("GET", ONE, lambda todo: {**todo, "title": "other"}), "read todo: expected"),
    (value("GET", "/api/todos/", lambda found: found if isinstance(found, dict) else []), "listed todos with its id"),
    (value("PUT", ONE, lambda todo: {**todo, "title": None}), "updated todo: expected"),
    (value("DELETE", ONE, lambda todo: {**todo, "id": 9}), "deleted todo: expected"),
    (value("GET", ONE, lambda _: {"detail": "Not Found"}, 404), "body of a deleted todo: expected"),
    (value("GET", ONE, lambda _: "<html>", 404), "body: expected JSON, saw b'<html>'"),
    (accept_empty_title, "status of a todo with an empty title: expected 422, saw 200"),
    (value("POST", "/api/todos/", lambda _: {"detail": "no"}, 422), "an answer of the agreed shape"),
    (status("GET", "/api/docs", 404), "status of GET /api/docs: expected 200, saw 404"),
    (status("GET", "/api/docs/ui.js", 404), "ui.js, named by /api/docs: expected 200, saw 404"),
    (value("GET", "/api/openapi.json", lambda _: {"paths": {}}), "paths /todos/ in /api/openapi.json"),
    (value("GET", "/api/version", lambda _: {}), "an answer of the agreed shape, saw KeyError('code')"),
)  # fmt: skip


@pytest.mark.core
def test_a_good_site_passes(run: Run) -> None:
    site = Site()
    exit_status, lines = run(site)
    assert (exit_status, len(lines)) == (0, CHECKS), lines
    assert all(line.startswith("ok ") for line in lines)
    assert site.todos == {}


def test_every_page_of_a_long_list_is_read(run: Run, smoke: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smoke, "PAGE_SIZE", 2)
    site = Site()
    there = {next(site.numbers): {"id": number} for number in range(1, 6)}
    site.todos |= there
    assert run(site)[0] == 0
    assert site.todos == there


@pytest.mark.parametrize(("fault", "expected"), FAULTS)
def test_a_fault_is_named_in_the_last_line(run: Run, fault: Fault, expected: str) -> None:
    site = Site(fault=fault)
    exit_status, lines = run(site)
    assert exit_status == 1
    assert lines[-1].startswith("FAILED ")
    assert expected in lines[-1]
    assert all(line.startswith("ok ") for line in lines[:-1])
    assert site.todos == {}, "the smoke test left its todos behind"


def test_an_answer_without_a_request_identifier_is_named(run: Run) -> None:
    constant = headers("/api/todos/", lambda present: (*without("X-Request-ID")(present), ("X-Request-ID", "same")))
    only_made = Site(fault=lambda method, path, reply: reply if is_own(reply) else constant(method, path, reply))
    assert "different ones among ['same', 'same']: expected 2, saw 1" in run(only_made)[1][-1]


def is_own(reply: Reply) -> bool:
    return dict(reply.headers)["X-Request-ID"].startswith("smoke-")


@pytest.mark.usefixtures("impatient")
def test_a_site_that_never_becomes_ready_is_named(run: Run) -> None:
    _, lines = run(Site(fault=status("GET", "/api/todos/", 503)))
    assert lines == [lines[-1]]
    assert lines[-1].startswith("FAILED ")
    assert "GET /api/todos/ with status 200: expected within 0 s, saw status 503" in lines[-1]


@pytest.mark.usefixtures("impatient")
def test_a_replica_that_never_answers_is_named(run: Run) -> None:
    _, lines = run(Site(pods=(("backend-1", "c0de"),)))
    assert "answers of 2 replicas: expected within 0 s, saw 1: backend-1" in lines[-1]


def test_replicas_with_different_code_are_named(run: Run) -> None:
    _, lines = run(Site(pods=(("backend-1", "c0de"), ("backend-2", "01d"))))
    assert "number of different codes among the replicas: expected 1, saw 2" in lines[-1]


def test_an_open_address_that_should_be_denied_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        monkeypatch.setenv("DENIED_ADDRESSES", address)
        exit_status, lines = run(Site())
    assert exit_status == 1
    assert f"connection to {address}: expected to be denied by a network policy, saw it accepted" in lines[-1]


def test_a_name_that_does_not_resolve_is_no_denial(
    smoke: ModuleType, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror("unknown name")

    monkeypatch.setattr(smoke, "check_replicas", lambda *_: monkeypatch.setattr(socket, "getaddrinfo", unknown))
    monkeypatch.setenv("DENIED_ADDRESSES", "backend:8000")
    assert "name of backend:8000: expected to resolve, saw unknown name" in run(Site())[1][-1]


@pytest.mark.usefixtures("impatient", "run")
def test_a_site_that_is_not_there_is_named(
    smoke: ModuleType,
    closed_address: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BASE_URL", f"http://{closed_address}")
    assert smoke.main() == 1
    assert f"from http://{closed_address}" in capsys.readouterr().out.splitlines()[-1]
