"""What is made ready for the next change: processes that stand by for the files edited last, and stay of use."""

import re

import pytest

from sample_project import Project
from warmfork_server import Serve, Server

MAIN = """
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tiny import {modules}

MODULES = ({modules},)


async def answer(_):
    return PlainTextResponse(" ".join(f"{{one.VALUE}}{{one.answer()}}" for one in MODULES))


app = Starlette(routes=[Route("/", answer)])
"""
MODULE = """
import os

with open("executed", "a") as file:
    file.write(f"{__name__.rpartition('.')[2]} {os.getpid()}\\n")

VALUE = 0


def answer():
    return "a"
"""
LETTERS = "xyz"


@pytest.fixture
def project(tiny: Project) -> Project:
    """Return a project of three modules that know nothing of each other."""
    tiny.write("main.py", MAIN.format(modules=", ".join(LETTERS)))
    for letter in LETTERS:
        tiny.write(f"{letter}.py", MODULE)
    return tiny


def until_standbys(server: Server, number: int) -> None:
    """Return as soon as so many stand by, and no process is on its way to be ready."""
    server.until(f"{number} processes stand by", lambda: len(server.titled("standby")) == number)
    server.until("none starts", lambda: not server.titled("starting"))


def ways(server: Server) -> list[str]:
    """Return the way of each reload."""
    return [re.sub(r"^.* ms \((\w+).*$", r"\1", line) for line in server.reports("reloaded in")]


def test_files_edited_last_are_waited_for(project: Project, serve: Serve) -> None:
    server = serve(project, "--no-swap")
    until_standbys(server, 1)
    for number, letter in enumerate("xyxyyxx", 1):
        project.replace(f"{letter}.py", "VALUE = ", "VALUE = 1")
        server.until_reloads(number)
        until_standbys(server, min(number, 2))
    # The first edit of each file, and no other, finds a process that has executed it.
    assert ways(server)[2:] == ["standby"] * 5
    assert server.text() == "11110a 1110a 0a"


def test_swaps_leave_what_stands_by_of_use(project: Project, serve: Serve) -> None:
    server = serve(project)
    server.until_copy()
    project.replace("x.py", "VALUE = 0", "VALUE = 1")
    server.until_reloads(1)
    server.until_copy()
    until_standbys(server, 1)
    standby = server.titled("standby")
    for number, (before, after) in enumerate((("a", "b"), ("b", "c")), 2):
        # What stands by for x has executed y.
        project.replace("y.py", f'return "{before}"', f'return "{after}"')
        server.until_reloads(number)
        server.until_copy()
    assert set(standby) <= set(server.titled("standby"))
    project.replace("x.py", "VALUE = 1", "VALUE = 2")
    server.until_reloads(4)
    assert server.text() == "2a 0c 0a"
    assert ways(server)[1:] == ["swapped", "swapped", "standby"]
    executed = [line for line in (project.directory / "executed").read_text().splitlines() if line.startswith("y")]
    assert f"y {server.titled('serving')[-1]}" in executed


def test_lifespan_is_reported_apart(tiny: Project, serve: Serve) -> None:
    tiny.append(
        "main.py",
        """
import time
from contextlib import asynccontextmanager

@asynccontextmanager
async def lifespan(_):
    time.sleep(0.05)
    yield

app.router.lifespan_context = lifespan
""",
    )
    server = serve(tiny)
    tiny.replace("version.py", "0", "1")
    server.until_reloads(1)
    for line in (*server.reports("^serving"), *server.reports("reloaded in")):
        total, lifespan = map(int, re.findall(r" (\d+) ms", line))
        assert total >= lifespan >= 50
    assert server.status()["lifespan_seconds"] >= 0.05
