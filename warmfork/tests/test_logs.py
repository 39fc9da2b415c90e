"""Logging is set up as under uvicorn, and only uvicorn's own account of starts and ends is left out."""

import ast
import asyncio
import json
import logging
import logging.handlers
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import uvicorn
from uvicorn.lifespan import on as lifespan
from uvicorn.protocols.http import h11_impl, httptools_impl

from http_connection import request
from sample_project import Project
from warmfork.server import logs
from warmfork.server.configuration import configure
from warmfork_server import Serve, Server

NEVER, NOT_AT_START, KEPT_BACK, ALWAYS = "never", "not at the start", "kept back at the start", "always"

# All that uvicorn can log in a process that serves, by module, level and template, and when it is to appear. A new
# uvicorn with other words fails the test below until this table and warmfork.server.logs are right for it.
MESSAGES = {
    (uvicorn.server, "info", "Started server process [%d]"): NEVER,
    (uvicorn.server, "info", "Finished server process [%d]"): NEVER,
    (uvicorn.server, "info", "Shutting down"): NEVER,
    (uvicorn.server, "info", "Waiting for connections to close. (CTRL+C to force quit)"): NEVER,
    (uvicorn.server, "info", "Waiting for background tasks to complete. (CTRL+C to force quit)"): NEVER,
    (uvicorn.server, "error", "Cancel %s running task(s), timeout graceful shutdown exceeded"): ALWAYS,
    # Where uvicorn opens the sockets itself, or ends after so many requests: never here.
    (uvicorn.server, "error", "exc"): ALWAYS,
    (uvicorn.server, "info", "Uvicorn running on socket %s (Press CTRL+C to quit)"): ALWAYS,
    (uvicorn.server, "info", "Uvicorn running on unix socket %s (Press CTRL+C to quit)"): ALWAYS,
    (uvicorn.server, "info", "f'Uvicorn running on {addr_format} (Press CTRL+C to quit)'"): ALWAYS,
    (uvicorn.server, "info", "Maximum request limit of %d exceeded. Terminating process."): ALWAYS,
    (lifespan, "info", "Waiting for application startup."): NEVER,
    (lifespan, "info", "Application startup complete."): NEVER,
    (lifespan, "info", "Waiting for application shutdown."): NEVER,
    (lifespan, "info", "Application shutdown complete."): NEVER,
    (lifespan, "info", "ASGI 'lifespan' protocol appears unsupported."): NOT_AT_START,
    (lifespan, "error", "Application startup failed. Exiting."): NOT_AT_START,
    (lifespan, "error", "Application shutdown failed. Exiting."): KEPT_BACK,
    (lifespan, "error", "Exception in 'lifespan' protocol\n"): KEPT_BACK,
    (lifespan, "error", "message['message']"): KEPT_BACK,
    (uvicorn.config, "error", "'Error loading ASGI app. %s' % exc"): KEPT_BACK,
    (uvicorn.config, "error", "Error loading ASGI app factory: %s"): KEPT_BACK,
    (uvicorn.config, "error", "'Error loading custom loop setup function. %s' % exc"): KEPT_BACK,
    (
        uvicorn.config,
        "warning",
        "ASGI app factory detected. Using it, but please consider setting the --factory flag explicitly.",
    ): ALWAYS,
    # Of uvicorn's own reloader, and of its sockets.
    (
        uvicorn.config,
        "warning",
        "Current configuration will not reload as not all conditions are met, please refer to documentation.",
    ): ALWAYS,
    (
        uvicorn.config,
        "warning",
        "'Provided reload directories %s did not contain valid ' + 'directories, watching current working directory.'",
    ): ALWAYS,
    (uvicorn.config, "info", "Will watch for changes in these directories: %s"): ALWAYS,
    (uvicorn.config, "info", "Loading environment from '%s'"): ALWAYS,
    (uvicorn.config, "warning", '"workers" flag is ignored when reloading is enabled.'): ALWAYS,
    (uvicorn.config, "error", "exc"): KEPT_BACK,
    (uvicorn.config, "info", "Uvicorn running on unix socket %s (Press CTRL+C to quit)"): ALWAYS,
    (uvicorn.config, "info", "Uvicorn running on socket %s (Press CTRL+C to quit)"): ALWAYS,
    (uvicorn.config, "info", "f'Uvicorn running on {addr_format} (Press CTRL+C to quit)'"): ALWAYS,
}


def logged(module: ModuleType) -> Iterator[tuple[ModuleType, str, str]]:
    """Yield level and template of each call of a logger in a module; what is no literal is yielded as it is written."""
    assert module.__file__
    tree = ast.parse(Path(module.__file__).read_text())
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for block in blocks(function):
                for statement in block:
                    match statement:
                        case ast.Expr(
                            ast.Call(
                                func=ast.Attribute(value=ast.Name("logger") | ast.Attribute(attr="logger"), attr=level),
                                args=[message, *_],
                            )
                        ):
                            yield from ((module, level, text) for text in texts(message, block, function))


def blocks(function: ast.AST) -> Iterator[list[ast.stmt]]:
    for node in ast.walk(function):
        for field in ("body", "orelse", "finalbody"):
            if isinstance(block := getattr(node, field, None), list):
                yield block


def texts(message: ast.expr, block: list[ast.stmt], function: ast.AST) -> Iterator[str]:
    """Yield what a message stands for: a name for what is assigned to it beside the call, or else in the function."""
    if isinstance(message, ast.Name):
        values = assigned(message.id, block) or assigned(message.id, ast.walk(function)) or [message]
        yield from (str(value.value) if isinstance(value, ast.Constant) else ast.unparse(value) for value in values)
    else:
        yield str(message.value) if isinstance(message, ast.Constant) else ast.unparse(message)


def assigned(name: str, nodes: Iterable[ast.AST]) -> list[ast.expr]:
    return [node.value for node in nodes if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name]


def test_every_message_of_uvicorn_is_known() -> None:
    found = {message for module in (uvicorn.server, lifespan, uvicorn.config) for message in logged(module)}
    assert found == set(MESSAGES)


def test_templates_of_a_task_that_is_cut_off() -> None:
    for module in (h11_impl, httptools_impl):
        assert (module, "error", logs.TASK_FAILED[1]) in set(logged(module))
    cancel = f"t.cancel(msg={logs.CANCELLED!r})"
    assert uvicorn.server.__file__
    assert cancel in ast.unparse(ast.parse(Path(uvicorn.server.__file__).read_text()))


def record(path: str | None, level: int, message: object, error: BaseException | None = None) -> logging.LogRecord:
    information = (type(error), error, None) if error else None
    return logging.LogRecord("uvicorn.error", level, str(path), 1, message, None, information)


@pytest.mark.parametrize(
    ("message", "appears"),
    tuple(MESSAGES.items()),
    ids=lambda value: value[2] if isinstance(value, tuple) else "",
)
def test_what_is_left_out(message: tuple[ModuleType, str, str], appears: str) -> None:
    module, level, text = message
    routine = logs.RoutineFilter()
    number = logging.getLevelNamesMapping()[level.upper()]
    theirs = record(module.__file__, number, text)
    assert routine.filter(theirs) == (appears == ALWAYS)
    assert bool(routine.failure) == (appears == KEPT_BACK)
    routine.started()
    assert routine.filter(theirs) == (appears != NEVER)
    assert routine.failure is None
    # The application logs the same by the same logger.
    assert logs.RoutineFilter().filter(record(__file__, number, text))


def test_errors_that_did_not_keep_it_from_starting_are_logged_then(caplog: pytest.LogCaptureFixture) -> None:
    with logs.RoutineFilter() as routine:
        logging.getLogger("uvicorn.error").handle(record(lifespan.__file__, logging.ERROR, "no reason to end"))
        assert caplog.messages == []
        routine.started()
    assert caplog.messages == ["no reason to end"]


@pytest.mark.parametrize(
    ("error", "appears"),
    (
        (asyncio.CancelledError(logs.CANCELLED), False),
        (asyncio.CancelledError("by the application"), True),
        (LookupError(logs.CANCELLED), True),
        (None, True),
    ),
    ids=repr,
)
def test_task_that_is_cut_off(error: BaseException | None, appears: bool) -> None:
    assert logs.RoutineFilter().filter(record(h11_impl.__file__, *logs.TASK_FAILED, error)) is appears


def test_message_that_is_no_text() -> None:
    assert logs.RoutineFilter().filter(record(uvicorn.server.__file__, logging.ERROR, {"not": ["hashable"]}))


class Handler(logging.Handler):
    is_closed = False

    def close(self) -> None:
        self.is_closed = True
        super().close()


def test_loggers_of_libraries_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are imported before the configuration here, and after it under uvicorn."""
    monkeypatch.setattr(logging.root, "manager", logging.Manager(logging.root))
    monkeypatch.setattr(logging.Logger, "manager", logging.root.manager)
    library, below, named = (logging.getLogger(name) for name in ("library", "uvicorn.library", "named"))
    handler = Handler()
    for logger in (library, below, named):
        logger.setLevel(logging.ERROR)
        logger.addHandler(handler)
        logger.propagate = False
    loggers = {"named": {"level": "DEBUG"}, "uvicorn": {"level": "INFO"}}
    configure("no:application", {"log_config": {"version": 1, "loggers": loggers}}, graceful_timeout=1, failure=None)
    for logger in (library, below):
        assert (logger.level, logger.handlers, logger.propagate, logger.disabled) == (
            logging.ERROR, [handler], False, False,
        )  # fmt: skip
    assert (named.level, named.handlers, named.disabled) == (logging.DEBUG, [], False)
    assert not handler.is_closed
    assert handler in [reference() for reference in logging._handlerList]  # type: ignore[attr-defined]


# --- servers ----------------------------------------------------------------------------------------------------------

CONFIGURATION: dict[str, Any] = {
    "version": 1,
    "formatters": {"own": {"format": "own format: %(name)s %(message)s"}},
    "handlers": {"file": {"class": "logging.FileHandler", "filename": "configured.log", "formatter": "own"}},
    "loggers": {"uvicorn": {"level": "INFO", "handlers": ["file"]}},
    "root": {"level": "INFO", "handlers": ["file"]},
}
INI = """
[loggers]
keys = root

[handlers]
keys = file

[formatters]
keys = own

[logger_root]
level = INFO
handlers = file

[handler_file]
class = FileHandler
args = ("configured.log",)
formatter = own

[formatter_own]
format = own format: %(name)s %(message)s
"""
# JSON is YAML as well.
CONFIGURATIONS = {"log.json": json.dumps(CONFIGURATION), "log.yaml": json.dumps(CONFIGURATION), "log.ini": INI}

APPLICATION = """
import logging
import logging.handlers
from contextlib import asynccontextmanager

logger = logging.getLogger(__name__)
server_logger = logging.getLogger("uvicorn.error")
memory = logging.handlers.MemoryHandler(1_000, target=logging.FileHandler("own.log"))
own = logging.getLogger("own")
own.addHandler(memory)
logger.info("imported %s", VERSION)
own.warning("kept in memory %s", VERSION)

@asynccontextmanager
async def lifespan(_):
    server_logger.error("lifespan has begun %s", VERSION)
    yield
    server_logger.info("Shutting down")
    logger.info("lifespan ends %s", VERSION)
    raise RuntimeError(f"cannot end {VERSION}")

async def fail_later(_):
    await wait(_)
    raise LookupError(f"failed late {VERSION}")

app = Starlette(routes=[*app.routes, Route("/fail-later", fail_later)], lifespan=lifespan)
"""


@pytest.mark.parametrize(("name", "text"), CONFIGURATIONS.items(), ids=CONFIGURATIONS.keys())
def test_log_configuration_holds_for_every_process(name: str, text: str, tiny: Project, serve: Serve) -> None:
    (tiny.directory / name).write_text(text)
    tiny.append("main.py", APPLICATION)
    server = serve(tiny, "--log-config", name, access_log=True)
    server.until_standby()
    tiny.replace("version.py", "0", "1")
    server.until_text("1", "/?asked")
    written = tiny.directory / "configured.log"
    package = "own format: tiny.main"
    for version in (0, 1):
        assert f"{package} imported {version}\n" in written.read_text()
        assert f"own format: uvicorn.error lifespan has begun {version}\n" in written.read_text()
    server.until("the access is logged", lambda: '/?asked HTTP/1.1" 200' in written.read_text())
    server.until("the old process has said all", lambda: f"{package} lifespan ends 0\n" in written.read_text())
    # What a handler of the application's own has held back is written at the end.
    server.until("its memory is written", lambda: (tiny.directory / "own.log").read_text() == "kept in memory 0\n")


def test_nothing_but_routine_is_left_out(tiny: Project, serve: Serve) -> None:
    tiny.append("main.py", APPLICATION)
    server = serve(tiny)
    with server.connect() as connection:
        connection.send(request("/fail-later"))
        server.until("the request is under way", lambda: tiny.exists("begun"))
        tiny.replace("version.py", "0", "1")
        server.until_reloads(1)
        tiny.touch("go")
        assert connection.answer().status == 500
    server.until("the old process has said all", lambda: "RuntimeError: cannot end 0" in server.log)
    for version in (0, 1):
        assert f"lifespan has begun {version}\n" in server.log
    assert "LookupError: failed late 0" in server.log
    # The application's own line, which is worded as one of uvicorn's.
    assert server.log.count("Shutting down") == 1
    for words in ("server process", "Waiting for", "startup complete"):
        assert words not in server.log


FAILING = """
@asynccontextmanager
async def lifespan(_):
    server_logger.error("connecting to the database")
    raise ConnectionError("no database")
    yield

app = Starlette(routes=app.routes, lifespan=lifespan)
"""


def test_lifespan_that_fails_is_told_once(tiny: Project, serve: Serve) -> None:
    server = serve(tiny)
    tiny.append("main.py", APPLICATION + FAILING)
    server.until_reported("^tiny/main.py: not reloaded, the old code serves on$")
    server.until("the traceback is there", lambda: "in lifespan" in server.log)
    assert "connecting to the database\n" in server.log
    assert server.log.count("ConnectionError: no database") == 1
    assert "startup failed" not in server.log


def test_failure_of_a_factory_is_told(tiny: Project, serve: Serve) -> None:
    tiny.append("main.py", "\n\ndef create(surplus):\n    return app\n")
    server = serve(tiny, "--factory", application="tiny.main:create")
    server.until("the reason is told", lambda: "missing 1 required positional argument: 'surplus'" in server.log)
    assert server.log.count("missing 1 required positional argument") == 1
    tiny.replace("main.py", "surplus", "")
    server.until("it is repaired", lambda: server.get().status == 200)


def test_log_configuration_that_is_wrong(tiny: Project, serve: Serve) -> None:
    (tiny.directory / "log.json").write_text('{"version": 1, "root": {"handlers": ["missing"]}}')
    server: Server = serve(tiny, "--log-config", "log.json")
    assert server.get().status == 500
    assert "Unable to configure root logger" in server.get().text
    tiny.replace("version.py", "0", "1")
    (tiny.directory / "log.json").write_text(CONFIGURATIONS["log.json"])
    tiny.replace("version.py", "1", "2")
    server.until("it is repaired", lambda: server.get().status == 200)
