"""It ends when it is told to, with all that it has started, and looks after processes that nobody else does."""

import os
import signal
import sys

import pytest

from http_connection import request
from sample_project import Project
from warmfork.events import EventLoop
from warmfork_server import NEW_PROGRAM, Serve, Server

BLOCKED = """
from pathlib import Path
from time import sleep

Path("importing").touch()
while True:
    sleep(0.01)
"""
# A program that gives its orphans' care to itself, as process 1 of a container has it, and becomes another program.
SUBREAPER = """
import ctypes, os, sys
PR_SET_CHILD_SUBREAPER = 36
ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
# Its parent ends at once, it a moment later.
ORPHAN = """
import subprocess

subprocess.run(["sh", "-c", "sleep 0.05 & echo $! > orphan"], check=True)
"""

both = pytest.mark.parametrize("number", (signal.SIGTERM, signal.SIGINT), ids=("SIGTERM", "SIGINT"))


def assert_ends(server: Server) -> None:
    assert server.wait() == 0, server.log
    server.await_empty_session()
    assert "Traceback" not in server.log


@pytest.mark.core
@both
def test_ends(number: signal.Signals, tiny: Project, serve: Serve) -> None:
    server = serve(tiny, prefix=NEW_PROGRAM)
    with server.connect() as kept:
        kept.get()
        server.signal(number)
        assert_ends(server)
        assert kept.rest() == b""


@both
def test_ends_when_the_whole_group_is_told(number: signal.Signals, tiny: Project, serve: Serve) -> None:
    """Ctrl-C in a terminal."""
    server = serve(tiny, prefix=NEW_PROGRAM)
    tiny.replace("version.py", "0", "1")
    server.until_text("1")
    os.killpg(server.pid, number)
    assert_ends(server)


@both
def test_ends_in_the_middle_of_a_reload(number: signal.Signals, tiny: Project, serve: Serve) -> None:
    server = serve(tiny)
    tiny.write("version.py", BLOCKED)
    server.until("the new code is being imported", lambda: tiny.exists("importing"))
    server.signal(number)
    assert_ends(server)


@both
def test_ends_in_the_middle_of_a_restart(number: signal.Signals, tiny: Project, serve: Serve) -> None:
    """Told while one program takes the place of the other; process 1 of a container would not even end by itself."""
    server = serve(tiny)
    server.signal(signal.SIGHUP)
    server.until_reported("^restarting: ")
    server.signal(number)
    assert_ends(server)


def test_signal_that_has_not_had_its_turn_is_left_to_the_next_program() -> None:
    number, other = signal.SIGUSR1, signal.SIGUSR2
    before = {one: signal.signal(one, lambda *_: None) for one in (number, other)}
    told: list[signal.Signals] = []
    for has_another_place in (False, True):
        loop = EventLoop()
        loop.handle_signals((number,), told.append)
        if has_another_place:
            loop.run(lambda: bool(told))
        else:
            for one in (number, other):
                signal.raise_signal(one)
            loop.leave_signals()
            assert signal.sigpending() == {number}
        loop.close()
    for one, handler in before.items():
        signal.signal(one, handler)
    assert told == [number]


@both
def test_ends_while_nothing_serves(number: signal.Signals, tiny: Project, serve: Serve) -> None:
    tiny.write("version.py", "VERSION = missing\n")
    server = serve(tiny)
    assert server.get().status == 500
    server.signal(number)
    assert_ends(server)


def test_ends_before_the_application_has_started(tiny: Project) -> None:
    tiny.write("version.py", BLOCKED)
    server = Server(tiny, prefix=NEW_PROGRAM)
    try:
        server.until("the code is being imported", lambda: tiny.exists("importing"))
        server.signal(signal.SIGTERM)
        assert_ends(server)
    finally:
        server.stop()


def test_request_under_way_is_answered_before_the_end(tiny: Project, serve: Serve) -> None:
    server = serve(tiny, "--timeout-graceful-shutdown", "60")
    with server.connect() as waiting:
        waiting.send(request("/wait"))
        server.until("the request has begun", lambda: tiny.exists("begun"))
        server.signal(signal.SIGTERM)
        tiny.touch("go")
        assert waiting.answer().text == "0"
    assert_ends(server)


def test_request_that_does_not_end_is_ended(tiny: Project, serve: Serve) -> None:
    server = serve(tiny, "--timeout-graceful-shutdown", "1")
    with server.connect() as waiting:
        waiting.send(request("/wait"))
        server.until("the request has begun", lambda: tiny.exists("begun"))
        server.signal(signal.SIGTERM)
        waiting.rest()
    assert server.wait() == 0
    server.await_empty_session()


def test_shutdown_of_the_application_is_awaited(tiny: Project, serve: Serve) -> None:
    tiny.append(
        "main.py",
        """
from contextlib import asynccontextmanager

@asynccontextmanager
async def lifespan(_):
    yield
    await asyncio.sleep(0)
    Path(f"ended {VERSION}").touch()

app = Starlette(routes=app.routes, lifespan=lifespan)
""",
    )
    server = serve(tiny)
    tiny.replace("version.py", "0", "1")
    server.until_text("1")
    server.until("the old code has shut down", lambda: tiny.exists("ended 0"))
    assert not tiny.exists("ended 1")
    server.signal(signal.SIGTERM)
    assert_ends(server)
    assert tiny.exists("ended 1")


def test_nothing_survives_a_killed_parent(tiny: Project, serve: Serve) -> None:
    server = serve(tiny)
    tiny.replace("version.py", "0", "1")
    server.until_text("1")
    server.signal(signal.SIGKILL)
    assert server.wait() == -signal.SIGKILL
    server.await_empty_session()


def test_orphans_are_reaped(tiny: Project, serve: Serve) -> None:
    server = serve(tiny, prefix=(sys.executable, "-c", SUBREAPER))
    for version in range(1, 4):
        tiny.write("version.py", f"{ORPHAN}VERSION = {version}\n")
        server.until_text(str(version))
        server.await_end_of(int((tiny.directory / "orphan").read_text()))
    assert server.get("/process").json["parent"] == server.pid


# Handlers of the application's own: of its import, and of its start, which goes on to the one before.
HANDLERS = """
import signal
import sys
from contextlib import asynccontextmanager


def note(text):
    with open("notes", "a") as notes:
        notes.write(f"{VERSION} {text}\\n")


def at_import(number, frame):
    note("import")
    sys.exit()


signal.signal(signal.SIGTERM, at_import)


@asynccontextmanager
async def lifespan(_):
    before = signal.getsignal(signal.SIGTERM)

    def at_start(number, frame):
        note("start")
        before(number, frame)

    signal.signal(signal.SIGTERM, at_start)
    yield
    note("shutdown")


app = Starlette(routes=app.routes, lifespan=lifespan)
"""
# A request that is under way for as long as the test likes.
WAITING = """
import asyncio
from pathlib import Path


async def waiting(_):
    Path("waiting").touch()
    while not Path("released").exists():
        await asyncio.sleep(0.01)
    return PlainTextResponse("released")


app.routes.append(Route("/waiting", waiting))

"""
# How libraries find out that the server is about to end, as sse-starlette does.
ENDING_STREAM = """
import signal

import uvicorn


async def until_the_end():
    while not getattr(signal.getsignal(signal.SIGTERM), "__self__").should_exit:
        yield f"{VERSION}\\n"
        await asyncio.sleep(0.01)
    yield "end"


async def ending(_):
    return StreamingResponse(until_the_end())


app.routes.append(Route("/ending", ending))
"""


def test_handlers_of_the_application_are_called(tiny: Project, serve: Serve) -> None:
    """Under uvicorn each process gets the signal, at a reload as well as at the end."""
    tiny.append("main.py", HANDLERS)
    server = serve(tiny)
    notes = tiny.directory / "notes"
    expected = ["start", "shutdown", "import"]
    tiny.write("version.py", "VERSION = 1\n")
    server.until_text("1")
    server.until("the old process has ended", lambda: notes.exists() and notes.read_text().count("\n") >= 3)
    assert notes.read_text().splitlines() == [f"0 {word}" for word in expected]
    notes.write_text("")
    server.signal(signal.SIGTERM)
    assert_ends(server)
    assert notes.read_text().splitlines() == [f"1 {word}" for word in expected]


def test_handler_is_called_once_in_a_process_that_a_reload_and_the_end_both_end(tiny: Project, serve: Serve) -> None:
    tiny.append("main.py", HANDLERS.replace("app = Starlette", f"{WAITING}\napp = Starlette"))
    server = serve(tiny, "--timeout-graceful-shutdown", "60")
    notes = tiny.directory / "notes"
    with server.connect() as connection:
        connection.send(request("/waiting"))
        server.until("the request is under way", lambda: tiny.exists("waiting"))
        tiny.write("version.py", "VERSION = 1\n")
        server.until_text("1")
        server.signal(signal.SIGTERM)
        # The old process is told before it.
        server.until("the new process is told to end", lambda: notes.exists() and "1 start\n" in notes.read_text())
        tiny.touch("released")
        _, headers = connection.head()
        assert connection.body(headers) == b"released"
    assert_ends(server)
    lines = notes.read_text().splitlines()
    expected = [f"{version} {word}" for version in (0, 1) for word in ("import", "shutdown", "start")]
    assert sorted(lines) == expected


@pytest.mark.parametrize("loop", ("asyncio", "uvloop"))
def test_streams_that_look_whether_the_server_ends(loop: str, tiny: Project, serve: Serve) -> None:
    tiny.append("main.py", ENDING_STREAM)
    server = serve(tiny, "--timeout-graceful-shutdown", "60", "--loop", loop)
    with server.connect() as reload, server.connect() as end:
        reload.send(request("/ending"))
        _, headers = reload.head()
        tiny.write("version.py", "VERSION = 1\n")
        server.until_text("1")
        assert reload.body(headers).endswith(b"end")
        end.send(request("/ending"))
        _, headers = end.head()
        server.signal(signal.SIGTERM)
        assert end.body(headers).endswith(b"end")
    assert_ends(server)
