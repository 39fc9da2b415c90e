"""The path on which the serving process tells about itself."""

import re

import pytest

from sample_project import Project
from warmfork_server import Serve


@pytest.mark.core
def test_fields(tiny: Project, serve: Serve) -> None:
    server = serve(tiny)
    first = server.status()
    assert first.keys() == {"pid", "generation", "code", "serving", "lifespan_seconds", "is_outdated", "failure"}
    assert re.fullmatch("[0-9a-f]{12}", first["code"])
    assert first["serving"] is True
    assert first["failure"] is None
    tiny.replace("version.py", "0", "1")
    server.until_text("1")
    second = server.status()
    assert second["generation"] == first["generation"] + 1
    assert second["code"] != first["code"]
    tiny.replace("version.py", "1", "0")
    server.until_text("0")
    third = server.status()
    of_each = {name: third[name] for name in ("pid", "lifespan_seconds")}
    assert third == {**first, **of_each, "generation": first["generation"] + 2}
    assert len({status["pid"] for status in (first, second, third)}) == 3


def test_failure_while_the_old_code_serves(tiny: Project, serve: Serve) -> None:
    server = serve(tiny)
    before = server.status()
    tiny.write("version.py", "VERSION = missing\n")
    server.until("the failure is told", lambda: server.status()["failure"])
    status = server.status()
    failure = status.pop("failure")
    assert {**status, "failure": None} == before
    assert failure["files"] == ["tiny/version.py"]
    assert failure["error"] == "NameError: name 'missing' is not defined"
    assert "VERSION = missing" in failure["traceback"]
    tiny.write("version.py", "VERSION = 1\n")
    server.until("the failure is gone", lambda: server.status()["failure"] is None)
    assert server.text() == "1"


def test_failure_while_nothing_serves(tiny: Project, serve: Serve) -> None:
    tiny.write("version.py", "VERSION = missing\n")
    server = serve(tiny)
    status = server.status()
    assert status["serving"] is False
    assert status["failure"]["error"] == "NameError: name 'missing' is not defined"
    tiny.write("version.py", "VERSION = 1\n")
    server.until("it serves", lambda: server.status()["serving"])
    assert server.status()["failure"] is None


def test_other_methods_and_paths_are_the_application(tiny: Project, serve: Serve) -> None:
    tiny.replace("main.py", 'Route("/", version)', 'Route("/{path:path}", version, methods=["GET", "POST"])')
    server = serve(tiny, "--status-path", "/_status")
    with server.connect() as connection:
        assert connection.get("/_status").json["serving"] is True
        assert connection.get("/_status/").text == "0"
        assert connection.get("/_status?x=1").json["serving"] is True
        connection.send(b"POST /_status HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n")
        assert connection.answer().text == "0"


def test_absent_without_the_option(tiny: Project, serve: Serve) -> None:
    server = serve(tiny, status_path=None)
    answer = server.get("/_warmfork")
    assert answer.status == 404
    assert answer.text == "Not Found"
