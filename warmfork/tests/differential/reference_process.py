"""A fork server: tells what uvicorn, started anew, would serve.

It has imported libraries, never an application. For each line of JSON that it reads it forks a process, which imports
the application as uvicorn does, starts it and asks it, without a socket; it answers with a line.
"""

import asyncio
import importlib
import io
import json
import logging
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any, NoReturn

import uvicorn
from uvicorn.importer import import_from_string

LIBRARIES = (
    "dotenv",
    "fastapi.openapi.utils",
    "fastapi.responses",
    "pydantic_settings",
    "starlette.applications",
    "starlette.responses",
    "tomllib",
    "uvicorn.lifespan.on",
    "uvicorn.logging",
    "uvicorn.loops.auto",
    "uvicorn.middleware.proxy_headers",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.auto",
)
# Seconds.
PATIENCE = 20


def main() -> None:
    """Answer until the input ends."""
    for library in LIBRARIES:
        importlib.import_module(library)
    # Written within the same second, two versions of a file would have the same bytecode.
    sys.dont_write_bytecode, sys.pycache_prefix = True, tempfile.mkdtemp()
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        reading, writing = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(reading)
            _child(json.loads(line), writing)
        os.close(writing)
        with os.fdopen(reading) as file:
            answers.write((file.read() or json.dumps({"error": "the process ended", "answers": {}, "log": ""})) + "\n")
        os.waitpid(pid, 0)
        answers.flush()
    Path(sys.pycache_prefix).rmdir()


def _child(request: dict[str, Any], descriptor: int) -> NoReturn:
    signal.alarm(PATIENCE)
    with tempfile.TemporaryFile() as log:
        for number in (1, 2):
            os.dup2(log.fileno(), number)
        os.chdir(request["directory"])
        # As `python -m uvicorn` and uvicorn's --app-dir make it.
        sys.path[:] = [request["app_dir"], str(Path.cwd()), *request["python_path"], *sys.path[1:]]
        error, answers = "", {}
        try:
            answers = asyncio.run(_answers(request["application"], is_factory=request["is_factory"]))
        except BaseException as raised:  # noqa: BLE001 - whatever an application does
            error = _headline(raised)
        log.seek(0)
        text = json.dumps({"error": error, "answers": answers, "log": log.read().decode(errors="replace")})
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    os._exit(0)


def _headline(error: BaseException) -> str:
    """Return type and text in one line, as warmfork reports it."""
    first, *_ = str(error).splitlines() or [""]
    if isinstance(error, StartupError):
        return first
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


class StartupError(Exception):
    """The lifespan did not start; the text is its error."""


async def _answers(application: str, *, is_factory: bool) -> dict[str, tuple[int, str]]:
    """Return status and body by path."""
    config = uvicorn.Config(application, factory=is_factory)
    # First by itself, for uvicorn ends the process instead of telling the error.
    import_from_string(application)
    config.load()
    lifespan = config.lifespan_class(config)
    errors = _Errors()
    logging.getLogger("uvicorn.error").addHandler(errors)
    await lifespan.startup()
    if lifespan.should_exit:
        raise StartupError(errors.first)
    paths = ["/", "/late", "/openapi.json"]
    answers: dict[str, tuple[int, str]] = {}
    while paths:
        path = paths.pop(0)
        answers[path] = await _ask(config.loaded_app, path, lifespan.state)
        if path == "/" and answers[path][0] == 200:
            paths += json.loads(answers[path][1])["paths"]
    return answers


class _Errors(logging.Handler):
    first = ""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.ERROR and not self.first:
            self.first = record.getMessage().rstrip().splitlines()[-1]


async def _ask(application: Any, path: str, state: dict[str, Any]) -> tuple[int, str]:  # noqa: ANN401
    status, body = 500, io.BytesIO()
    asked = False

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if asked:
            await asyncio.Event().wait()
        asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        else:
            body.write(message.get("body", b""))

    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "GET",
        "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "headers": [(b"host", b"test")], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2), "state": dict(state),
    }  # fmt: skip
    try:
        await application(scope, receive, send)
    except Exception:
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application\n")
        if not body.tell():
            # As uvicorn answers where a framework does not.
            return 500, "Internal Server Error"
    return status, body.getvalue().decode()


if __name__ == "__main__":
    main()
