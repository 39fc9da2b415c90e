"""Code that does not start takes nothing down and says why; its repair is served at once."""

import os
import signal
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from sample_project import Project
from warmfork_server import Serve, Server

KEPT = "not reloaded, the old code serves on$"
LOST = "not reloaded, nothing serves; http://127.0.0.1:[0-9]+ shows why$"

BROKEN = {
    "syntax": ("VERSION = = 1\n", "SyntaxError: invalid syntax"),
    "name": ("VERSION = missing\n", "NameError: name 'missing' is not defined"),
    "import": ("import missing_module\n", "ModuleNotFoundError: No module named 'missing_module'"),
    "exit": ("raise SystemExit(3)\n", "SystemExit: 3"),
    "not text": ("VERSION = '\0'\n", "SyntaxError: source code string cannot contain null bytes"),
    "endless recursion": ("def f(): return f()\nVERSION = f()\n", "RecursionError: maximum recursion depth exceeded"),
}
LIFESPAN = """
from contextlib import asynccontextmanager

@asynccontextmanager
async def lifespan(_):
    raise ConnectionError("no database")
    yield

app = Starlette(routes=app.routes, lifespan=lifespan)
"""


@pytest.mark.core
def test_old_code_serves_until_the_repair(tiny: Project, serve: Serve, subtests: pytest.Subtests) -> None:
    server = serve(tiny)
    with server.connect() as kept:
        for number, (name, (text, error)) in enumerate(BROKEN.items()):
            with subtests.test(name):
                tiny.write("version.py", text)
                server.until("that is told", partial(is_told, server, number + 1))
                assert kept.get().text == str(number)
                assert server.text() == str(number)
                account = server.log.rpartition("tiny/version.py: not reloaded, the old code serves on\n")[2]
                assert error in "\n".join(account.splitlines()[:5])
                tiny.write("version.py", f"VERSION = {number + 1}\n")
                server.until_text(str(number + 1))
                assert kept.get().text == str(number + 1)


def is_told(server: Server, times: int) -> bool:
    return len(server.reports(f"^tiny/version.py: {KEPT}")) == times


def test_traceback_begins_with_the_error_and_the_innermost_frame(tiny: Project, serve: Serve) -> None:
    server = serve(tiny)
    tiny.write("version.py", "def innermost():\n    raise ValueError('wrong')\n\n\nVERSION = innermost()\n")
    server.until_reported(KEPT)
    server.until("the traceback is there", lambda: "from tiny.version import VERSION" in server.log)
    _, _, account = server.log.partition("the old code serves on\n")
    expected = (
        "ValueError: wrong",
        "in innermost",
        "raise ValueError('wrong')",
        "VERSION = innermost()",
        "from tiny.version import VERSION",
    )
    positions = [account.index(part) for part in expected]
    assert positions == sorted(positions)
    assert account.splitlines()[0].strip() == "ValueError: wrong"
    assert "warmfork/src" not in account
    assert "importlib" not in account


def test_lifespan_that_raises(tiny: Project, serve: Serve) -> None:
    server = serve(tiny)
    main = tiny.path("main.py").read_text()
    tiny.append("main.py", LIFESPAN)
    server.until_reported(f"^tiny/main.py: {KEPT}")
    assert "ConnectionError: no database" in server.log
    assert server.text() == "0"
    tiny.write("main.py", main.replace("str(VERSION)", '"repaired"', 1))
    server.until_text("repaired")


def test_application_that_is_gone(tiny: Project, serve: Serve) -> None:
    server = serve(tiny)
    main = tiny.path("main.py").read_text()
    tiny.write("main.py", main.replace("app = ", "application = "))
    server.until_reported(KEPT)
    assert 'Attribute "app" not found in module "tiny.main"' in server.log
    assert server.text() == "0"
    tiny.write("main.py", main)
    tiny.replace("version.py", "0", "1")
    server.until_text("1")


def test_process_that_dies_while_it_starts(tiny: Project, serve: Serve) -> None:
    server = serve(tiny)
    tiny.write("version.py", "import os\nos.abort()\n")
    server.until_reported(f"^tiny/version.py: {KEPT}")
    assert server.text() == "0"
    tiny.write("version.py", "VERSION = 1\n")
    server.until_text("1")


def test_two_mistakes_and_their_repairs(tiny: Project, serve: Serve) -> None:
    """As long as one file is broken, the repair of the other is not enough."""
    server = serve(tiny)
    main = tiny.path("main.py").read_text()
    tiny.write("version.py", "VERSION = missing\n")
    server.until_reported(f"tiny/version.py: {KEPT}")
    tiny.write("main.py", main + "surplus = = 1\n")
    server.until_reported(f"tiny/main.py.*: {KEPT}")
    tiny.write("version.py", "VERSION = 1\n")
    server.until("the rest is reported", lambda: len(server.reports(KEPT)) == 3)
    assert server.text() == "0"
    tiny.write("main.py", main)
    server.until_text("1")


def test_mistake_that_is_taken_back(tiny: Project, serve: Serve) -> None:
    """What is on the disk is then what serves, and no failure is left to tell."""
    server = serve(tiny)
    tiny.write("version.py", "VERSION = missing\n")
    server.until_reported(KEPT)
    assert server.status()["failure"]["error"] == "NameError: name 'missing' is not defined"
    tiny.write("version.py", '"""The number that a test counts up."""\n\nVERSION = 0\n')
    server.until("the failure is gone", lambda: server.status()["failure"] is None)
    assert server.text() == "0"
    tiny.write("version.py", "VERSION = 1\n")
    server.until_text("1")


@pytest.mark.parametrize("kind", ("syntax", "name", "exit"))
def test_broken_from_the_start(kind: str, tiny: Project, serve: Serve) -> None:
    text, error = BROKEN[kind]
    tiny.write("version.py", text)
    server = serve(tiny)
    server.until_reported(LOST)
    with server.connect() as kept:
        for path in ("/", "/process", "/missing"):
            answer = kept.get(path)
            assert answer.status == 500
            assert answer.headers.get_content_type() == "text/plain"
            assert error in answer.text
        tiny.write("version.py", "VERSION = 1\n")
        server.until("it is repaired", lambda: server.get().status == 200)
        assert kept.get().text == "1"
    assert server.text() == "1"
    assert server.get("/process").json["parent"] == server.pid
    assert len(server.reports("^serving tiny.main:app on ")) == 1


def test_application_that_does_not_exist_yet(tiny: Project, serve: Serve) -> None:
    tiny.path("main.py").rename(tiny.directory / "main.py")
    server = serve(tiny)
    assert server.get().status == 500
    (tiny.directory / "main.py").rename(tiny.path("main.py"))
    server.until("it is there", lambda: server.get().status == 200)


def test_killed_process_is_replaced(tiny: Project, serve: Serve) -> None:
    server = serve(tiny)
    pid = server.get("/process").json["pid"]
    # A younger one is taken for broken.
    server.until("the process is old enough", lambda: age(pid) > 1.1)
    os.kill(pid, signal.SIGKILL)
    server.await_end_of(pid)
    process = server.get("/process").json
    assert process["pid"] != pid
    assert process["parent"] == server.pid
    tiny.replace("version.py", "0", "1")
    server.until_text("1")


def age(pid: int) -> float:
    """Return how many seconds ago a process was started."""
    ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def test_process_that_dies_right_after_its_start(tiny: Project, serve: Serve) -> None:
    """It is not started over and over again, and a save is its next chance."""
    server = serve(tiny)
    main = tiny.path("main.py").read_text()
    tiny.append(
        "main.py",
        LIFESPAN.replace(
            'raise ConnectionError("no database")', "asyncio.get_running_loop().call_later(0.1, os.abort)"
        ),
    )
    server.until_reported(LOST)
    answer = server.get()
    assert answer.status == 500
    assert "signal 6" in answer.text
    tiny.write("main.py", main)
    server.until("it is repaired", lambda: server.get().status == 200)


def test_killed_process_while_the_code_is_broken(tiny: Project, serve: Serve) -> None:
    server = serve(tiny)
    pid = server.get("/process").json["pid"]
    tiny.write("version.py", "VERSION = missing\n")
    server.until_reported(KEPT)
    server.until("the process is old enough", lambda: age(pid) > 1.1)
    os.kill(pid, signal.SIGKILL)
    server.until_reported(LOST)
    answer = server.get()
    assert answer.status == 500
    assert "NameError: name 'missing' is not defined" in answer.text
    tiny.write("version.py", "VERSION = 1\n")
    server.until("it is repaired", lambda: server.get().status == 200)
    assert server.text() == "1"


def test_process_that_ends_right_after_its_start_is_started_again(tiny: Project, serve: Serve) -> None:
    tiny.touch("fatal")
    tiny.append(
        "main.py",
        """
import signal
from contextlib import asynccontextmanager

@asynccontextmanager
async def lifespan(_):
    with open("starts", "a") as file:
        file.write("another\\n")
    if Path("fatal").exists():
        asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), signal.SIGKILL)
    yield

app = Starlette(routes=app.routes, lifespan=lifespan)
""",
    )
    server = serve(tiny)
    server.until_reported("^it is tried again in 1 s, and then less and less often")
    starts = tiny.directory / "starts"
    server.until("it was tried several times", lambda: len(starts.read_text().splitlines()) > 2)

    def text() -> str:
        # A request that the process has taken ends with it.
        with suppress(ConnectionError):
            return server.get().text
        return ""

    server.until("it shows why", lambda: "the process ended by signal 9" in text())
    (tiny.directory / "fatal").unlink()
    server.until("it serves", lambda: text() == "0")


def test_save_while_the_code_before_it_never_ends_to_start(tiny: Project, serve: Serve) -> None:
    server = serve(tiny, "--hold-timeout", "0.1")
    tiny.write("version.py", "import os\n\nopen('begun', 'x').write(str(os.getpid()))\nwhile True: pass\n")
    begun = tiny.directory / "begun"
    server.until("the endless code runs", lambda: begun.exists() and begun.read_text())
    assert server.text() == "0"
    tiny.write("version.py", "VERSION = 1\n")
    server.until_text("1")
    server.await_end_of(int(begun.read_text()))


def test_start_that_fails_for_a_reason_outside_is_tried_again(tiny: Project, serve: Serve) -> None:
    """As with a database that is away: nothing is saved when it is back."""
    tiny.append(
        "main.py",
        """
from contextlib import asynccontextmanager

@asynccontextmanager
async def lifespan(_):
    if not Path("database").exists():
        raise OSError("the database is away")
    yield

app = Starlette(routes=app.routes, lifespan=lifespan)
""",
    )
    server = serve(tiny)
    assert server.get().status == 500
    server.until_reported("^it is tried again in 1 s")
    tiny.touch("database")
    server.until("it has started", lambda: server.get().text == "0")
    assert len(server.reports("not reloaded")) == 1


def test_failed_import_is_tried_again_when_equal_content_comes(tiny: Project, tmp_path: Path, serve: Serve) -> None:
    """Another tool may have been replacing files while they were imported."""
    server = serve(tiny)
    outside = tmp_path / "outside"
    text = f"from pathlib import Path\n\nVERSION = Path({str(outside)!r}).read_text()\n"
    tiny.write("version.py", text)
    server.until_reported(KEPT)
    outside.write_text("healed")
    tiny.write("version.py", text)
    server.until_text("healed")
    assert len(server.reports("not reloaded")) == 1


def test_failure_that_stays_is_told_once(tiny: Project, serve: Serve) -> None:
    server = serve(tiny)
    tiny.write("version.py", "from pathlib import Path\n\nPath('tried').open('a').write('.')\nVERSION = missing\n")
    server.until("it was tried twice", lambda: tiny.exists("tried") and (tiny.directory / "tried").read_text() == "..")
    tiny.write("version.py", "VERSION = 1\n")
    server.until_text("1")
    assert len(server.reports(KEPT)) == 1
