"""Every minor version of uvicorn that warmfork knows: connections move to new code, and what it says stays one line."""

import itertools
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import uvicorn
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from http_connection import request
from package_folder import install
from sample_project import Project
from warmfork_server import NEW_PROGRAM, Serve

# Requirements, of which each holds the hashes of its files; comments begin with a hash sign.
REQUIREMENTS = {
    line.partition(" ")[0].removeprefix("uvicorn=="): line
    for line in Path(__file__).with_name("uvicorn_versions.txt").read_text().splitlines()
    if line.startswith("uvicorn==")
}
OLDEST, *_, NEWEST = REQUIREMENTS
HTTP, LOOPS = ("httptools", "h11"), ("uvloop", "asyncio")
# Each version with both protocols and both loops; the first and the last with each protocol in each loop.
COMBINATIONS = [
    (version, *pair)
    for version in REQUIREMENTS
    for pair in (itertools.product(HTTP, LOOPS) if version in {OLDEST, NEWEST} else zip(HTTP, LOOPS, strict=True))
]
PATIENT = ("--timeout-graceful-shutdown", "60", "--hold-timeout", "60", "--timeout-keep-alive", "60")
SHOW = """
import uvicorn


async def versions(_):
    loop = type(asyncio.get_running_loop()).__module__.partition(".")[0]
    return PlainTextResponse(f"{uvicorn.__version__} {loop}")


app.router.routes.append(Route("/uvicorn", versions))
"""


def install_alone(version: str, folder: Path) -> Path:
    """Return a new folder below this one that holds that version of uvicorn and nothing else."""
    requirements = folder / f"uvicorn-{version}.txt"
    requirements.write_text(REQUIREMENTS[version])
    return install(requirements, folder / f"uvicorn-{version}", "--no-deps")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return what gives the folder with a version of uvicorn."""
    folder = tmp_path_factory.mktemp("versions")
    return cache(lambda version: install_alone(version, folder))


def test_the_last_is_the_one_in_the_lock() -> None:
    assert uvicorn.__version__ == NEWEST
    minors = [tuple(map(int, version.split(".")[:2])) for version in REQUIREMENTS]
    first = minors[0]
    assert minors == [(first[0], minor) for minor in range(first[1], minors[-1][1] + 1)]


@pytest.mark.parametrize("combination", COMBINATIONS, ids="-".join)
def test_code_that_does_not_start_is_repaired_and_connections_move(
    combination: tuple[str, str, str], installed: Callable[[str], Path], tiny: Project, serve: Serve
) -> None:
    version, http, loop = combination
    tiny.append("main.py", SHOW)
    tiny.write("version.py", "VERSION = missing\n")
    server = serve(
        tiny, "--http", http, "--loop", loop, *PATIENT, python_path=(installed(version),), prefix=NEW_PROGRAM
    )
    answer = server.get()
    assert answer.status == 500
    assert answer.text.splitlines()[2] == "NameError: name 'missing' is not defined"
    tiny.write("version.py", "VERSION = 0\n")
    server.until("the repair is served", lambda: server.get().text == "0")
    # The line comes from another process than those about the WebSocket.
    server.until_reported("^serving ")
    address = f"ws://127.0.0.1:{server.port}/echo"
    with (
        server.connect() as used,
        server.connect() as silent,
        server.connect() as waiting,
        server.connect() as slow,
        connect(address) as socket,
    ):
        assert used.get("/uvicorn").text == f"{version} {loop}"
        slow.send(request("/length", "Content-Length: 20", method="POST") + bytes(10))
        server.until("the body has begun", lambda: tiny.exists("begun"))
        (tiny.directory / "begun").unlink()
        waiting.send(request("/wait"))
        server.until("the request has begun", lambda: tiny.exists("begun"))
        for number in (1, 2):
            tiny.write("version.py", f"VERSION = {number}\n")
            server.until_text(str(number))
            assert used.get().text == str(number)
        assert silent.get().text == "2"
        tiny.touch("go")
        slow.send(bytes(10))
        assert waiting.answer().text == "0"
        assert slow.answer().json == {"version": 0, "length": 20}
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code in {1001, 1012}
    server.until_reloads(2)
    # Of uvicorn's own lines those about the WebSocket, and nothing about starts and ends.
    since_the_repair = server.log.partition("warmfork: serving ")[2].splitlines()[1:]
    others = [line for line in since_the_repair if not line.startswith("warmfork: ")]
    assert [line.rpartition(" ")[2] for line in others][:2] == ["[accepted]", "open"]
    assert all(line == "INFO:     connection closed" for line in others[2:]), server.log


def test_unknown_version_serves_without_moving_connections(tiny: Project, tmp_path: Path, serve: Serve) -> None:
    """What is inside of one that does not exist yet is not known; it serves all the same, and a line says so."""
    folder = install_alone(NEWEST, tmp_path)
    package = folder / "uvicorn" / "__init__.py"
    package.write_text(package.read_text().replace(NEWEST, "0.999.0"))
    server = serve(tiny, *PATIENT, python_path=(folder,), prefix=NEW_PROGRAM)
    assert server.reports(r"uvicorn 0\.999\.0")
    with server.connect() as kept:
        assert kept.get().text == "0"
        tiny.write("version.py", "VERSION = 1\n")
        # No reset, and no answer by the old code.
        assert kept.rest() == b""
    server.until_text("1")
    server.until_reloads(1)
