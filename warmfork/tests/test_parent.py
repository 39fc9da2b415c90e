"""What the parent imports for its children, what it must not, and when it starts itself anew."""

import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import cast

import pytest

from sample_project import Project, atomically, in_place
from traffic import Traffic
from warmfork.channel import Channel
from warmfork.events import EventLoop
from warmfork.parent.children import Children
from warmfork.parent.forking import Forking
from warmfork.parent.processes import Process, Role
from warmfork.snapshot.sources import Sources
from warmfork_server import NEW_PROGRAM, Serve, Server

# A module that writes down which process has imported it.
RECORDED = """
import os

with open("{0}.imports", "a") as record:
    record.write(f"{{os.getpid()}}\\n")
"""
# The application answers a variable of its environment.
VARIABLE = '\nimport os\n\nVERSION = os.environ.get("VERSION", "unset")\n'
# Tasks that a process of its own does.
QUEUE = """
import multiprocessing

context = multiprocessing.get_context("fork")
tasks, results = context.Queue(), context.Queue()


def work():
    while True:
        results.put(f"done {tasks.get()}")


def start():
    worker = context.Process(target=work, daemon=True)
    worker.start()
    return worker


def do(task):
    tasks.put(task)
    return results.get(timeout=5)
"""
WORKER_OF_QUEUE = """
from contextlib import asynccontextmanager

import tasks


@asynccontextmanager
async def lifespan(_):
    worker = tasks.start()
    yield
    worker.terminate()


def task(_):
    return PlainTextResponse(tasks.do(VERSION))


app = Starlette(routes=[*app.routes, Route("/task", task)], lifespan=lifespan)
"""


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Return a folder of modules that are not the application's."""
    library = tmp_path / "site-packages"
    library.mkdir()
    return library


def importers(project: Project, module: str) -> list[int]:
    """Return the processes that have imported a recorded module, in their order."""
    record = project.directory / f"{module}.imports"
    return [int(line) for line in record.read_text().split()] if record.exists() else []


def reload_several_times(project: Project, server: Server) -> None:
    """Save the main module three times."""
    main = project.path("main.py").read_text()
    for number in range(1, 4):
        project.write("main.py", main.replace("str(VERSION)", f'"{number}"', 1))
        server.until_text(str(number))


def save_beside_standbys(project: Project, server: Server, name: str, text: str) -> None:
    """Save the file three times, with 1, 2 and 3 in the text; before each next time another process stands by."""
    for number in range(1, 4):
        old = server.get("/process").json["pid"]
        project.write(name, text.format(number))
        server.until_text(str(number))
        server.await_end_of(old)
        server.until_standby()


@pytest.mark.core
def test_libraries_are_imported_once(tiny: Project, library: Path, serve: Serve) -> None:
    (library / "heavy.py").write_text(RECORDED.format("heavy"))
    tiny.append("version.py", "import heavy\n")
    server = serve(tiny, python_path=[library], prefix=NEW_PROGRAM)
    first = server.get("/process").json["pid"]
    # By a child first: an import may end or block its process.
    server.until("the parent has imported it", lambda: importers(tiny, "heavy") == [first, server.pid])
    reload_several_times(tiny, server)
    assert importers(tiny, "heavy") == [first, server.pid]


# A module whose import the parent does not end before the test says so; it leads the session.
AWAITED = """
import time
from pathlib import Path

if os.getpid() == os.getsid(0):
    Path("begun").touch()
    while not Path("go").exists():
        time.sleep(0.01)
"""


def test_next_change_is_prepared_for_before_libraries_are_imported(tiny: Project, library: Path, serve: Serve) -> None:
    """Then by a process that shares the parent's, without a moment in which none stands by."""
    (library / "heavy.py").write_text(RECORDED.format("heavy") + AWAITED)
    tiny.append("version.py", "import heavy\n")
    server = serve(tiny, python_path=[library], prefix=NEW_PROGRAM)
    first = server.get("/process").json["pid"]
    server.until("the parent imports the library", lambda: tiny.exists("begun"))
    server.until_copy()
    server.until_standby()
    (standby,) = server.titled("standby")
    # Until a second one is due, of which nothing tells while the parent is busy.
    time.sleep(1.2)
    tiny.touch("go")
    server.until("another process stands by", lambda: set(server.titled("standby")) - {standby})
    server.await_end_of(standby)
    assert sorted(importers(tiny, "heavy")) == sorted({first, server.pid})


def test_libraries_in_a_virtual_environment_below_the_reload_directory(tiny: Project, serve: Serve) -> None:
    packages = tiny.directory / ".venv" / "lib" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "heavy.py").write_text(RECORDED.format("heavy"))
    tiny.append("version.py", "import heavy\n")
    server = serve(tiny, "--reload-dir", ".", python_path=[packages])
    first = server.get("/process").json["pid"]
    server.until("the parent has imported it", lambda: importers(tiny, "heavy") == [first, server.pid])
    reload_several_times(tiny, server)
    assert importers(tiny, "heavy") == [first, server.pid]


def test_library_that_is_not_to_be_preloaded(tiny: Project, library: Path, serve: Serve) -> None:
    (library / "heavy.py").write_text(RECORDED.format("heavy"))
    tiny.append("version.py", "import heavy\n")
    server = serve(tiny, "--no-swap", "--no-preload", "heavy", python_path=[library])
    reload_several_times(tiny, server)
    assert len(importers(tiny, "heavy")) >= 4
    assert server.pid not in importers(tiny, "heavy")


def test_library_that_is_to_be_preloaded(tiny: Project, library: Path, serve: Serve) -> None:
    """No import statement of the application shows it."""
    (library / "heavy.py").write_text(RECORDED.format("heavy"))
    tiny.append("version.py", "import importlib\n\nimportlib.import_module('hea' + 'vy')\n")
    server = serve(tiny, "--preload", "heavy", python_path=[library])
    reload_several_times(tiny, server)
    assert importers(tiny, "heavy") == [server.pid]


def test_application_is_never_imported_by_the_parent(tiny: Project, serve: Serve) -> None:
    tiny.append("version.py", RECORDED.format("version"))
    server = serve(tiny)
    reload_several_times(tiny, server)
    assert server.pid not in importers(tiny, "version")


def test_library_that_imports_the_application(tiny: Project, library: Path, serve: Serve) -> None:
    """A plug-in: its import would bring the application's modules into the parent, where no save reaches them."""
    (library / "plugin.py").write_text("from tiny.version import VERSION\n")
    tiny.replace("main.py", "from tiny.version import VERSION", "from plugin import VERSION")
    server = serve(tiny, python_path=[library])
    for version in range(1, 4):
        tiny.replace("version.py", str(version - 1), str(version))
        server.until_text(str(version))
    assert server.reports("restarting") == []


def test_library_that_does_without_the_application_where_it_has_to(tiny: Project, library: Path, serve: Serve) -> None:
    """In the parent it would be without, so the parent does without it."""
    plugin = "try:\n    from tiny.version import VERSION\nexcept ImportError:\n    VERSION = 'without'\n"
    (library / "plugin.py").write_text(plugin)
    tiny.replace("main.py", "from tiny.version import VERSION", "from plugin import VERSION")
    server = serve(tiny, python_path=[library])
    assert_started_anew_without("plugin", "the application's own tiny", server)
    for version in range(1, 4):
        tiny.replace("version.py", str(version - 1), str(version))
        server.until_text(str(version))


# How a library may come to know what is in a file of the application's, each setting VERSION; the file, what it says.
READING = {
    "text": ("VERSION = open('version.txt').read()\n", "version.txt", "{}"),
    "missing": (
        """
import configparser

file = configparser.ConfigParser()
file.read("version.ini")
VERSION = file.get("a", "b", fallback="")
""",
        "version.ini",
        "[a]\nb = {}\n",
    ),
    "module": (
        """
import importlib.util
import sys

spec = importlib.util.spec_from_file_location("chosen", "tiny/chosen.py")
sys.modules["chosen"] = module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
VERSION = module.VERSION
""",
        "tiny/chosen.py",
        "VERSION = {}\n",
    ),
}


@pytest.mark.parametrize("way", READING)
def test_library_that_reads_the_application(way: str, tiny: Project, library: Path, serve: Serve) -> None:
    """What it has read would be the same for every process that inherits it."""
    text, file, form = READING[way]
    if way != "missing":
        (tiny.directory / file).write_text(form.format(1))
    (library / "reading.py").write_text(text)
    tiny.replace("main.py", "from tiny.version import VERSION", "from reading import VERSION")
    server = serve(tiny, python_path=[library])
    server.until_reported(f"^restarting: .*reading reads {file}")
    for number in range(2, 5):
        atomically(tiny.directory / file, form.format(number))
        server.until_text(str(number))
    assert len(server.reports("^restarting")) == 1


# A program that has the application's modules when it is to be forked, in ways that no import shows.
RUNNER = """
import sys
import types
from pathlib import Path
from tiny import version
from warmfork import command
from warmfork.parent import preload

import_all = preload.preload

def and_more(*arguments, **others):
    hazards = import_all(*arguments, **others)
    sys.modules["tiny.version"] = types.ModuleType("tiny.version")
    sys.modules["tiny.version"].__file__ = str(Path("tiny/version.py").resolve())
    sys.modules["tiny.version"].VERSION = "old"
    return hazards

import warmfork.parent.libraries
warmfork.parent.libraries.preload = and_more
command.main(sys.argv[3:])
"""


def test_parent_holds_no_module_of_the_application_when_it_forks(tiny: Project, serve: Serve) -> None:
    server = serve(tiny, python_path=[tiny.directory], prefix=(sys.executable, "-c", RUNNER))
    for number in range(3):
        server.until_text(str(number))
        tiny.replace("version.py", str(number), str(number + 1))
    server.until_text("3")
    assert server.reports("the application's own tiny.version was imported here")


def test_library_that_cannot_be_imported(tiny: Project, library: Path, serve: Serve) -> None:
    """The application may live without it."""
    (library / "broken.py").write_text("raise SystemExit('not on this machine')\n")
    tiny.append("version.py", "try:\n    import broken\nexcept SystemExit:\n    VERSION = 'without'\n")
    server = serve(tiny, python_path=[library], prefix=NEW_PROGRAM)
    assert server.text() == "without"


# Keeps lines until its process ends; and a folder that must be there until the end of all.
KEEPING = """
import atexit
import shutil
import tempfile
from pathlib import Path

FOLDER = tempfile.mkdtemp(dir=".")
atexit.register(shutil.rmtree, FOLDER)
LINES = []


def write():
    assert Path(FOLDER).exists()
    with open("lines.txt", "a") as file:
        file.writelines(LINES)


atexit.register(write)
"""


def test_what_a_library_does_at_the_end(tiny: Project, library: Path, serve: Serve) -> None:
    """In each process that has inherited it: the lines are of that one."""
    (library / "keeping.py").write_text(KEEPING)
    tiny.append("version.py", "import keeping\n\nkeeping.LINES.append(f'{VERSION}\\n')\n")
    server = serve(tiny, "--preload", "keeping", python_path=[library])
    for number in range(1, 4):
        tiny.replace("version.py", f"VERSION = {number - 1}", f"VERSION = {number}")
        server.until_text(str(number))
        server.until_one_serves()
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert (tiny.directory / "lines.txt").read_text().split() == ["0", "1", "2", "3"]


def test_library_that_starts_a_thread(tiny: Project, library: Path, serve: Serve) -> None:
    (library / "threaded.py").write_text(
        "import threading\n\nthread = threading.Thread(target=threading.Event().wait, daemon=True)\nthread.start()\n"
    )
    tiny.append("version.py", "from threaded import thread\n\nVERSION = str(thread.is_alive())\n")
    server = serve(tiny, python_path=[library], prefix=NEW_PROGRAM)
    assert_started_anew_without("threaded", "thread", server)
    assert server.text() == "True"
    reload_several_times(tiny, server)


@pytest.fixture
def database() -> Iterator[int]:
    """Return the port of something that accepts connections and holds them."""
    held = []

    def accept() -> None:
        while True:
            try:
                held.append(listener.accept()[0])
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
    for connection in held:
        connection.close()


def test_library_that_opens_a_connection(tiny: Project, library: Path, database: int, serve: Serve) -> None:
    (library / "connected.py").write_text(
        f"import socket\n\nconnection = socket.create_connection(('127.0.0.1', {database}))\n"
    )
    tiny.append("version.py", "from connected import connection\n\nVERSION = connection.getpeername()[1]\n")
    server = serve(tiny, python_path=[library])
    assert_started_anew_without("connected", f"connection to 127.0.0.1:{database}", server)
    assert server.text() == str(database)
    reload_several_times(tiny, server)


# What a library makes when it is imported, of which each process needs one of its own, and what a line says of it.
SHARED = {
    "import asyncio\n\nshared = asyncio.new_event_loop()\n": "an event loop",
    "import os\n\nshared = os.pipe()\n": "a pipe",
    "import multiprocessing\n\nshared = multiprocessing.get_context('fork').Lock()\n": "memory or a lock",
    "import mmap\n\nshared = mmap.mmap(-1, 8)\n": "memory or a lock",
}


@pytest.mark.parametrize(("text", "words"), SHARED.items())
def test_library_that_opens_what_processes_would_share(
    text: str, words: str, tiny: Project, library: Path, serve: Serve
) -> None:
    (library / "sharing.py").write_text(text)
    tiny.append("version.py", "import sharing\n")
    server = serve(tiny, python_path=[library])
    assert_started_anew_without("sharing", f"opens {words}", server)
    reload_several_times(tiny, server)


def test_worker_that_is_ended_at_its_queue(tiny: Project, library: Path, serve: Serve) -> None:
    """It holds the queue's lock: with the same queue, the next worker would wait for ever."""
    (library / "tasks.py").write_text(QUEUE)
    tiny.append("main.py", WORKER_OF_QUEUE)
    server = serve(tiny, python_path=[library])
    assert_started_anew_without("tasks", "a pipe", server)
    for number in range(1, 4):
        tiny.write("version.py", f"VERSION = {number}\n")
        server.until_text(str(number))
        server.until_one_serves()
        assert server.text("/task") == f"done {number}"


def assert_started_anew_without(module: str, reason: str, server: Server) -> None:
    server.until_reported("^restarting: ")
    (report,) = server.reports("^restarting: ")
    assert module in report
    assert reason in report
    # What was imported after it is not to blame.
    assert "starlette" not in report
    assert len(server.reports("^serving ")) == 1
    assert server.get("/process").json["parent"] == server.pid


def test_changed_environment_file(tiny: Project, serve: Serve) -> None:
    tiny.append("version.py", VARIABLE)
    settings = tiny.directory / "development.env"
    settings.write_text("VERSION=1\n")
    server = serve(tiny, "--env-file", "development.env")
    assert server.text() == "1"
    with Traffic(server.port) as traffic:
        for version, save in ((2, atomically), (3, in_place)):
            save(settings, f"VERSION={version}\n")
            server.until_text(str(version))
    assert (traffic.failed, traffic.wrong) == ([], [])
    assert len(server.reports(r"^restarting: .*development\.env")) == 2
    assert server.get("/process").json["parent"] == server.pid
    settings.write_text("OTHER=1\n")
    server.until_text("unset")
    tiny.write("version.py", "VERSION = 4\n")
    server.until_text("4")


def test_variable_of_the_environment_comes_before_the_file(tiny: Project, serve: Serve) -> None:
    """As uvicorn and docker compose have it."""
    tiny.append("version.py", VARIABLE)
    settings = tiny.directory / "development.env"
    settings.write_text("VERSION=file\n")
    server = serve(tiny, "--env-file", "development.env", environment={"VERSION": "environment"})
    assert server.text() == "environment"
    settings.write_text("VERSION=other\n")
    server.until_reported("^restarting: ")
    tiny.append("version.py", "VERSION += ' still'\n")
    server.until_text("environment still")


def test_environment_file_that_comes_later(tiny: Project, serve: Serve) -> None:
    tiny.append("version.py", VARIABLE)
    server = serve(tiny, "--env-file", "development.env")
    assert server.text() == "unset"
    tiny.save(tiny.directory / "development.env", "VERSION=1\n")
    server.until_text("1")
    assert server.get("/process").json["parent"] == server.pid


def test_request_under_way_while_the_parent_restarts(tiny: Project, serve: Serve) -> None:
    settings = tiny.directory / "development.env"
    settings.write_text("A=1\n")
    server = serve(tiny, "--env-file", "development.env", "--timeout-graceful-shutdown", "60")
    pid = server.get("/process").json["pid"]
    with server.connect() as waiting, server.connect() as kept:
        kept.get()
        waiting.send(b"GET /wait HTTP/1.1\r\nHost: test\r\n\r\n")
        server.until("the request has begun", lambda: tiny.exists("begun"))
        settings.write_text("A=2\n")
        server.until("another process serves", lambda: server.get("/process").json["pid"] != pid)
        tiny.touch("go")
        assert waiting.answer().text == "0"
        assert kept.get().text == "0"
    server.await_end_of(pid)


@pytest.fixture
def children() -> Children:
    """None yet, and none is forked."""
    return Children(EventLoop(), cast(Forking, None), 0, on_message=lambda *_: None, on_exit=lambda *_: None)


def test_process_that_is_just_ending_while_the_parent_restarts(children: Children) -> None:
    """It is not reaped yet, but has closed its channel, of which the next parent would get the descriptor."""
    with ExitStack() as stack:
        others = []
        for pid in (1, 2):
            mine, other = Channel.pair()
            others.append(stack.enter_context(closing(other)))
            children.take_over({**Process(pid, mine, Role.DRAINING, 0).as_json(), "channel": mine.detach()})
        for process in children.processes:
            stack.enter_context(closing(process.channel))
        others[0].close()
        children.listen()
        (left,) = children.leave()["processes"]
        assert left["pid"] == 2
        assert os.fstat(left["channel"])


def test_template_that_was_reaped_before_it_was_known_is_not_waited_for(children: Children) -> None:
    """It was killed together with the process that has left it behind, whose message nobody has read yet."""
    mine, starting = Channel.pair()
    children.take_over({**Process(1, mine, Role.SERVING, 0).as_json(), "channel": mine.detach()})
    its, template = Channel.pair()
    with closing(starting):
        with closing(its), closing(template):
            starting.send("template", [its.fileno()])
            pid = os.fork()
            if not pid:
                os._exit(0)
            template.send("forked", pid=pid)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        children.reap()
        children.listen()
        children.listen()
        (left,) = children.processes
        left.channel.close()
    assert left.pid == 1


def test_copy_of_the_template_leaves_no_file_open(tmp_path: Path, children: Children) -> None:
    """What has changed since is sent to it in a file; the parent must not keep that."""
    (tmp_path / "module.py").touch()
    mine, other = Channel.pair()
    template = Process(1, mine, Role.TEMPLATE, 0, is_prepared=True, stale={tmp_path / "module.py"})
    with closing(mine), closing(other):
        children.processes.add(template)
        sources = Sources([tmp_path], [], (), ())
        copy = children.copy(sources, is_served=True)
        assert copy
        with closing(copy.channel):
            assert not any("memfd:warmfork" in file for file in open_files())


def open_files() -> Iterator[str]:
    for path in Path("/proc/self/fd").iterdir():
        # The one by which they are listed is closed by then.
        with suppress(FileNotFoundError):
            yield str(path.readlink())


def test_changed_requirements(tiny: Project, tmp_path: Path, serve: Serve) -> None:
    packages = tmp_path / "site-packages"
    packages.mkdir()
    (packages / "heavy.py").write_text("VERSION = 1\n")
    (packages / "heavy-1.0.dist-info").mkdir()
    tiny.write("version.py", "from heavy import VERSION\n")
    server = serve(tiny, python_path=[packages])
    assert server.text() == "1"
    with Traffic(server.port) as traffic:
        # In pip's order: the old package goes, the new one comes, its record last.
        (packages / "heavy.py").write_text("VERSION = 1 + 1\n")
        (packages / "heavy-1.0.dist-info").rename(packages / "heavy-2.0.dist-info")
        server.until_text("2")
    assert (traffic.failed, traffic.wrong) == ([], [])
    assert any(re.search(r"^restarting: .*heavy", report) for report in server.reports())
    assert server.get("/process").json["parent"] == server.pid
    reload_several_times(tiny, server)


def test_next_edit_of_a_module_is_prepared(tiny: Project, serve: Serve) -> None:
    server = serve(tiny, "--no-swap")
    save_beside_standbys(tiny, server, "version.py", "VERSION = {}\n")
    server.until_reloads(3)
    assert len(server.reports(r"^tiny/version.py: reloaded in \d+ ms \(standby\)")) == 2


def test_first_edit_of_a_module_that_the_entry_alone_imports_is_prepared(shop: Project, serve: Serve) -> None:
    server = serve(shop, "--no-swap")
    server.until_standby()
    shop.append("routers/items.py", "\n")
    server.until_reloads(1)
    assert len(server.reports(r"^shop/routers/items.py: reloaded in \d+ ms \(standby\)")) == 1


def test_first_edit_of_anything_else_takes_effect(shop: Project, serve: Serve) -> None:
    server = serve(shop, "--no-swap")
    server.until_standby()
    shop.append("settings.py", "\n")
    server.until_reloads(1)
    assert server.reports("standby") == []


def test_prepared_process_is_of_no_use_for_another_module(lattice: Project, serve: Serve) -> None:
    server = serve(lattice)
    lattice.write("leaf.py", "SEEN = {'leaf': 1}\n")
    server.until_reloads(1)
    server.until_standby()
    lattice.write("base.py", "SEEN = {'base': 2}\n")
    server.until_reloads(2)
    lattice.write("leaf.py", "SEEN = {'leaf': 3}\n")
    server.until_reloads(3)
    answer = server.get().json
    assert answer["leaf"] == {"leaf": 3}
    assert [answer[module]["base"] for module in ("base", "left", "right", "top")] == [2, 2, 2, 2]


def test_imports_that_no_statement_shows_are_prepared_for(tiny: Project, serve: Serve) -> None:
    """A module found by its name: Django's and Alembic's way. The standby must not hold its old code."""
    tiny.append("version.py", "import importlib\n\nVERSION = importlib.import_module('tiny.' + 'number').NUMBER\n")
    tiny.write("number.py", "NUMBER = 0\n")
    server = serve(tiny)
    for number in range(1, 6):
        tiny.write("number.py", f"NUMBER = {number}\n")
        server.until_text(str(number))
        server.until_one_serves()


def test_entry_that_reads_files_as_it_is_imported(tiny: Project, serve: Serve) -> None:
    """As one that tells which code runs by a digest of all files. A standby that has imported it knows the old ones."""
    tiny.write("command.py", "0\n")
    tiny.append("main.py", "\nVERSION = Path(__file__).with_name('command.py').read_text().strip()\n")
    save_beside_standbys(tiny, serve(tiny), "command.py", "{}\n")


def test_without_standby_two_processes_are_all(tiny: Project, serve: Serve) -> None:
    server = serve(tiny, "--no-standby", "--no-swap")
    for version in range(1, 6):
        tiny.replace("version.py", str(version - 1), str(version))
        server.until_text(str(version))
        server.until("the old process is gone", lambda: len(server.processes()) == 2)
    assert server.reports("standby") == []


def test_library_that_is_copied_into_the_application(tiny: Project, library: Path, serve: Serve) -> None:
    (library / "lent.py").write_text("VALUE = 'installed'\n")
    tiny.write("version.py", "from lent import VALUE as VERSION\n")
    server = serve(tiny, f"--reload-dir={tiny.directory}", "--preload=lent", python_path=[library])
    assert server.text() == "installed"
    server.until_standby()
    (tiny.directory / "lent.py").write_text("VALUE = 'copied'\n")
    server.until_text("copied")
    server.until_reported("restarting: lent has changed")
    (tiny.directory / "lent.py").write_text("VALUE = 'edited'\n")
    server.until_text("edited")
    (tiny.directory / "lent.py").unlink()
    server.until_text("installed")
    assert len(server.reports("restarting")) == 1
