"""uvicorn's options mean what they mean there, and a mistake is named before anything is started."""

import sys

import pytest

from http_connection import request
from sample_project import Project
from warmfork_server import Serve, Server


def reload(project: Project, server: Server) -> None:
    """Save version 1 and return once it is served: the options must hold for every process."""
    project.replace("version.py", "VERSION = 0", "VERSION = 1")
    server.until_reloads(1)


def test_headers(tiny: Project, serve: Serve) -> None:
    server = serve(tiny, "--header", "X-Colour:blue", "--no-server-header", "--no-date-header")
    reload(tiny, server)
    headers = server.get().headers
    assert headers["X-Colour"] == "blue"
    assert headers["Server"] is None
    assert headers["Date"] is None


def test_root_path(tiny: Project, serve: Serve) -> None:
    tiny.replace(
        "main.py",
        "PlainTextResponse(str(VERSION))\n\n\nasync def process",
        "PlainTextResponse(_.url.path)\n\n\nasync def process",
    )
    server = serve(tiny, "--root-path", "/api")
    reload(tiny, server)
    assert server.text() == "/api/"


def test_factory(tiny: Project, serve: Serve) -> None:
    tiny.append("main.py", "\n\ndef create_app():\n    return app\n")
    server = serve(tiny, "--factory", application="tiny.main:create_app")
    reload(tiny, server)
    assert server.text() == "1"


def test_application_directory(tiny: Project, serve: Serve) -> None:
    source = tiny.directory / "source"
    source.mkdir()
    tiny.path("").rename(source / "tiny")
    server = serve(tiny, "--app-dir", "source", "--reload-dir", "source")
    (source / "tiny" / "version.py").write_text("VERSION = 1\n")
    server.until_text("1")
    server.until_reloads(1)
    assert server.reloaded_files() == ["source/tiny/version.py"]


@pytest.mark.parametrize("implementation", ("h11", "auto"))
def test_http_implementations(implementation: str, tiny: Project, serve: Serve) -> None:
    server = serve(tiny, "--http", implementation)
    with server.connect() as kept:
        for version in range(1, 4):
            assert kept.get().text == str(version - 1)
            tiny.replace("version.py", str(version - 1), str(version))
            server.until_text(str(version))
        assert kept.get().text == "3"


def test_keep_alive_time_ends_a_connection_that_was_handed_over(tiny: Project, serve: Serve) -> None:
    server = serve(tiny, "--timeout-keep-alive", "1")
    with server.connect() as kept:
        kept.get()
        tiny.replace("version.py", "0", "1")
        server.until_text("1")
        assert kept.get().text == "1"
        assert kept.rest() == b""


def test_access_log(tiny: Project, serve: Serve) -> None:
    server = serve(tiny, access_log=True)
    reload(tiny, server)
    with server.connect() as connection:
        connection.send(request("/?after-the-reload"))
        connection.answer()
    server.until("the request is logged", lambda: '"GET /?after-the-reload HTTP/1.1" 200' in server.log)


def test_one_line_for_each_reload(tiny: Project, serve: Serve) -> None:
    """Uvicorn's own account of starts and ends is left out."""
    server = serve(tiny)
    for version in range(1, 4):
        tiny.replace("version.py", str(version - 1), str(version))
        server.until_reloads(version)
    assert len(server.log.splitlines()) == 4


def test_application_writes_to_the_log(tiny: Project, serve: Serve) -> None:
    tiny.append("version.py", 'print(f"this is version {VERSION}")\n')
    server = serve(tiny, environment={"PYTHONUNBUFFERED": "1"})
    reload(tiny, server)
    server.until("the text is there", lambda: "this is version 1" in server.log)


PROGRAM = """
import sys
from pathlib import Path

from warmfork.serve import serve
from warmfork.settings import Settings

port = int(sys.argv[sys.argv.index("--port") + 1])
sys.exit(serve(Settings(app="tiny.main:app", port=port, reload_dirs=(Path("tiny"),))))
"""


def test_from_a_program(tiny: Project, serve: Serve) -> None:
    server = serve(tiny, prefix=(sys.executable, "-c", PROGRAM))
    reload(tiny, server)
    assert server.text() == "1"


@pytest.mark.parametrize(
    ("options", "named"),
    (
        (("--reload-dir", "missing"), "missing"),
        (("--listen", "metrics"), "NAME=HOST:PORT"),
        (("--listen", "metrics=127.0.0.1:x"), "NAME=HOST:PORT"),
        (("--listen", "metrics=127.0.0.1:70000"), "70000"),
        (("--port", "70000"), "70000"),
        (("--status-path", "status"), "slash"),
        (("--hold-timeout", "soon"), "soon"),
        (("--no-such-option",), "--no-such-option"),
        (("--fd", "77"), "77"),
        (("--uds", "missing/http.sock"), "missing/http.sock"),
        (("--control", "missing/control.sock"), "missing/control.sock"),
    ),
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_mistake_is_named(options: tuple[str, ...], named: str, tiny: Project) -> None:
    assert_ends_with_an_error(Server(tiny, *options), named)


def test_application_without_attribute_is_named(tiny: Project) -> None:
    assert_ends_with_an_error(Server(tiny, application="tiny.main"), "tiny.main")


def assert_ends_with_an_error(server: Server, named: str) -> None:
    assert server.wait() in {1, 2}, server.log
    server.await_empty_session()
    assert named in server.log
    assert "Traceback" not in server.log


def test_help(tiny: Project) -> None:
    server = Server(tiny, "--help")
    assert server.wait() == 0
    for option in ("--reload-dir", "--hold-timeout", "--control", "--host", "--uds", "--timeout-graceful-shutdown"):
        assert option in server.log
    assert "--workers" not in server.log
