"""uvicorn's options mean what they mean there, and a mistake is named before anything is started."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from uvicorn.main import main as uvicorn_command

import warmfork
from http_connection import request
from sample_project import Project
from warmfork.command import _settings, command
from warmfork.server import options
from warmfork.settings import Settings, SettingsError
from warmfork_server import NEW_PROGRAM, Serve, Server

README = Path(__file__).parents[1] / "README.md"
FLAGS = {str(one.name): max(one.opts, key=len) for one in uvicorn_command.params}


def parsed(*arguments: str) -> Settings:
    """Return the settings that a command line makes."""
    context = command().make_context("warmfork", list(arguments))
    return _settings(context.params)


def test_every_option_of_uvicorn_has_a_rule() -> None:
    assert set(FLAGS) == set(options.RULES)
    ours = {str(one.name): max(one.opts, key=len) for one in command().params}
    assert FLAGS.items() <= ours.items()


def test_every_option_that_means_the_same_reaches_uvicorn() -> None:
    """Each that is no field of the settings, under the name that uvicorn.Config has for it."""
    passed_on = set(FLAGS) - options.NOT_PASSED_ON
    given = parsed("no:application").uvicorn
    assert set(given) == passed_on
    uvicorn.Config("no:application", **{**given, "log_config": None})


def test_readme_has_the_table() -> None:
    assert options.table({name: flag for name, flag in FLAGS.items() if name != "app"}) in README.read_text()


def test_time_of_grace_is_limited() -> None:
    """Without an option for it, too, or a stream would hold the old process for ever."""
    assert parsed("no:application").graceful_timeout == 3
    assert parsed("no:application", "--timeout-graceful-shutdown", "1").graceful_timeout == 1


def uvicorns(arguments: tuple[str, ...]) -> dict[str, Any]:
    return uvicorn_command.make_context("uvicorn", list(arguments)).params


@pytest.mark.parametrize(
    "arguments",
    ((), ("--port", "4000", "--log-level", "error", "--no-date-header", "--header", "X-From:command", "no:command")),
    ids=("environment alone", "command line first"),
)
def test_environment_variables_are_uvicorns(arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "APP": "no:application", "HOST": "::1", "PORT": "9000", "RELOAD": "true", "RELOAD_DIRS": ".", "LOOP": "asyncio",
        "HEADERS": "X-A:1 X-B:2", "ACCESS_LOG": "0", "LOG_LEVEL": "debug", "DATE_HEADER": "off", "WORKERS": "1",
        "TIMEOUT_KEEP_ALIVE": "7", "ROOT_PATH": "/api", "FORWARDED_ALLOW_IPS": "*", "LIMIT_MAX_REQUESTS": "10",
        "INTERFACE": "asgi3", "FACTORY": "yes", "APP_DIR": "..", "RELOAD_EXCLUDES": "a b",
        # Those of warmfork's own are none of uvicorn's.
        "STATUS_PATH": "/status", "STANDBY": "0",
    }  # fmt: skip
    for name, value in values.items():
        monkeypatch.setenv(f"UVICORN_{name}", value)
    theirs, ours = uvicorns(arguments), parsed(*arguments)
    assert (ours.app, ours.host, ours.port) == (theirs["app"], theirs["host"], theirs["port"])
    assert ours.app_dir == Path(theirs["app_dir"])
    assert ours.reload_dirs == tuple(map(Path, theirs["reload_dirs"]))
    assert ours.reload_excludes == theirs["reload_excludes"]
    headers = [tuple(header.split(":")) for header in theirs["headers"]]
    converted = {**theirs, "headers": headers, "log_config": uvicorn.config.LOGGING_CONFIG}
    assert ours.uvicorn == {name: converted[name] for name in ours.uvicorn}
    assert (ours.status_path, ours.standby) == (None, True)


def test_number_of_workers(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    parsed("no:application", "--workers", "1")
    assert capsys.readouterr().err == ""
    for refused in ("--workers=4", "--workers=2"):
        with pytest.raises(SettingsError, match=r"^--workers \d: one process serves.* leave the option out"):
            parsed("no:application", refused)
    monkeypatch.setenv("UVICORN_WORKERS", "3")
    with pytest.raises(SettingsError, match=r"^--workers 3: "):
        parsed("no:application")
    # Meant for whatever serves on this machine.
    monkeypatch.delenv("UVICORN_WORKERS")
    monkeypatch.setenv("WEB_CONCURRENCY", "4")
    parsed("no:application")
    assert capsys.readouterr().err == "warmfork: WEB_CONCURRENCY=4 has no effect: one process serves\n"


WITHOUT_EFFECT = (
    "--reload", "--reload-delay", "0.1", "--workers", "1", "--limit-max-requests", "2", "--limit-max-requests-jitter",
    "1", "--timeout-worker-healthcheck", "1",
)  # fmt: skip


def test_options_without_effect(tiny: Project, serve: Serve) -> None:
    server = serve(tiny, *WITHOUT_EFFECT, environment={"WEB_CONCURRENCY": "many", "FORWARDED_ALLOW_IPS": "*"})
    assert [server.text() for _ in range(5)] == ["0"] * 5
    reload(tiny, server)
    assert server.text() == "1"
    assert server.reports("^WEB_CONCURRENCY=many has no effect")


def test_trusted_proxies_come_from_the_environment(tiny: Project, serve: Serve) -> None:
    tiny.replace("main.py", "PlainTextResponse(str(VERSION))\n\n\nasync def process",
                 "PlainTextResponse(_.url.scheme)\n\n\nasync def process")  # fmt: skip
    # By itself it trusts this machine.
    server = serve(tiny, environment={"FORWARDED_ALLOW_IPS": "192.0.2.1"})
    with server.connect() as connection:
        connection.send(request("/", "X-Forwarded-Proto: https"))
        assert connection.answer().text == "http"


LOOPS = {"asyncio": "asyncio.unix_events", "uvloop": "uvloop", "auto": "uvloop", "tiny.main:Own": "tiny.main"}
LOOP = """
class Own(asyncio.SelectorEventLoop):
    pass

async def loop(_):
    return PlainTextResponse(type(asyncio.get_running_loop()).__module__)

app = Starlette(routes=[*app.routes, Route("/loop", loop)])
"""


@pytest.mark.parametrize(("name", "module"), LOOPS.items(), ids=LOOPS.keys())
def test_event_loops(name: str, module: str, tiny: Project, serve: Serve) -> None:
    tiny.append("main.py", LOOP)
    server = serve(tiny, "--loop", name)
    with server.connect() as kept:
        assert kept.get("/loop").text == module
        reload(tiny, server)
        assert kept.get("/loop").text == module
        assert kept.get().text == "1"


INTERFACES = {
    "asgi2": "def app(scope):\n"
    "    async def run(receive, send):\n        await modern(scope, receive, send)\n    return run\n",
    "asgi3": "app = modern\n",
    "wsgi": "def app(environ, start_response):\n"
    "    start_response('200 OK', [('Content-Length', '1')])\n    return [str(VERSION).encode()]\n",
}


@pytest.mark.parametrize(("name", "text"), INTERFACES.items(), ids=INTERFACES.keys())
def test_interfaces(name: str, text: str, tiny: Project, serve: Serve) -> None:
    tiny.append("main.py", f"\n\nmodern = app\n\n\n{text}")
    server = serve(tiny, "--interface", name)
    reload(tiny, server)
    assert server.text() == "1"


def test_protocol_of_ones_own(tiny: Project, serve: Serve) -> None:
    """It is served as it is, and its connections end at a reload."""
    tiny.path("protocol.py").write_text(
        "from uvicorn.protocols.http.h11_impl import H11Protocol\n\n\nclass Own(H11Protocol):\n    pass\n"
    )
    server = serve(tiny, "--http", "tiny.protocol:Own")
    with server.connect() as kept:
        assert kept.get().text == "0"
        tiny.replace("version.py", "0", "1")
        assert kept.rest() == b""
    server.until_reloads(1)
    assert server.text() == "1"


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
        (("--workers", "4"), "leave the option out"),
        (("--header", "no-colon"), "no-colon"),
        (("--fd", "77"), "77"),
        (("--uds", "missing/http.sock"), "missing/http.sock"),
        (("--control", "missing/control.sock"), "missing/control.sock"),
    ),
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_mistake_is_named(options: tuple[str, ...], named: str, tiny: Project) -> None:
    assert_ends_with_an_error(Server(tiny, *options), named)


@pytest.mark.parametrize(
    ("arguments", "named"),
    (
        ({"loop": "fast"}, "--loop fast is none of none, auto, asyncio"),
        ({"loop": "zuvloop"}, "--loop zuvloop needs the package zuvloop"),
        ({"http": "fast"}, "--http fast is none of auto, h11"),
        ({"http": "zttp"}, "--http zttp needs the package zttp"),
        ({"ws": "fast"}, "--ws fast is none of auto, none"),
        ({"http2": True}, "--http2 needs --http zttp"),
        ({"ssl_keyfile": "key.pem"}, "--ssl-keyfile needs --ssl-certfile"),
        ({"ssl_certfile": "missing.pem"}, "--ssl-certfile missing.pem: .*No such file"),
        ({"ssl_certfile": __file__, "ssl_keyfile": __file__}, "--ssl-certfile .* --ssl-keyfile .*: .*PEM"),
        ({"workers": 2}, "has no effect: one process serves"),
        ({"host": "::"}, "has no effect: it is a field of Settings"),
    ),
    ids=str,
)
def test_argument_of_uvicorn_that_cannot_work_is_named(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        Settings(app="no:application", uvicorn=arguments)


def test_arguments_that_are_no_texts() -> None:
    class Own(asyncio.Protocol):
        pass

    Settings(app="no:application", uvicorn={"http": Own, "ws": Own})
    always = tuple(options.imported_late({"http": Own, "ws": Own, "loop": "no:loop"}))
    assert always == options.IMPORTED_LATE


def test_what_uvicorn_imports_late() -> None:
    late = tuple(options.imported_late({"ws": "wsproto", "http": "h11"}))
    assert late == (
        *options.IMPORTED_LATE,
        "uvloop",
        "uvicorn.loops.auto",
        "uvicorn.protocols.http.h11_impl",
        "uvicorn.protocols.websockets.wsproto_impl",
    )


def test_application_without_attribute_is_named(tiny: Project) -> None:
    assert_ends_with_an_error(Server(tiny, application="tiny.main", prefix=NEW_PROGRAM), "tiny.main")


def assert_ends_with_an_error(server: Server, named: str) -> None:
    assert server.wait() in {1, 2}, server.log
    server.await_empty_session()
    assert named in server.log
    assert "Traceback" not in server.log


def test_help(tiny: Project) -> None:
    server = Server(tiny, "--help", prefix=NEW_PROGRAM)
    assert server.wait() == 0
    for option in (*FLAGS.values(), "--hold-timeout", "--control"):
        assert option.removeprefix("app") in server.log
    for rule in options.RULES.values():
        if rule.meaning is not options.Meaning.SAME:
            assert f"As for uvicorn, but {rule.meaning}" in " ".join(server.log.split())


def test_version(tiny: Project) -> None:
    server = Server(tiny, "--version")
    assert server.wait() == 0
    assert server.log == f"warmfork {warmfork.__version__}, with uvicorn {uvicorn.__version__}\n"
