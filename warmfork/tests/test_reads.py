"""What an application has read while it was imported is part of it, whatever it is."""

import sys
from pathlib import Path

import pytest

from sample_project import Project, atomically, in_place
from warmfork_server import Serve, Server

READING = 'from pathlib import Path\n\nVERSION = Path("{name}").read_text().strip()\n'


def save_and_ask(server: Server, path: Path, texts: tuple[str, ...]) -> None:
    """Save each of the texts, and return once the last one is the answer."""
    for text in texts:
        atomically(path, f"{text}\n")
        server.until_text(text)


@pytest.mark.core
def test_data_file(tiny: Project, serve: Serve) -> None:
    (tiny.directory / "data").mkdir()
    data = tiny.directory / "data" / "version.json"
    data.write_text("first")
    tiny.write("version.py", READING.format(name="data/version.json"))
    server = serve(tiny)
    assert server.text() == "first"
    save_and_ask(server, data, ("second", "third", "fourth"))
    data.unlink()
    server.until_reported("data/version.json: not reloaded, the old code serves on")
    assert server.text() == "fourth"
    save_and_ask(server, data, ("fifth",))


def test_settings_file_that_a_module_reads(tiny: Project, serve: Serve) -> None:
    environment = tiny.directory / ".env"
    environment.write_text("first")
    tiny.write("version.py", READING.format(name=".env"))
    server = serve(tiny)
    save_and_ask(server, environment, ("second", "third", "fourth"))


def test_folder_that_is_listed(tiny: Project, serve: Serve) -> None:
    plugins = tiny.path("plugins")
    plugins.mkdir()
    listing = f"import os\n\nVERSION = ' '.join(sorted(os.listdir({str(plugins)!r})))\n"
    tiny.write("version.py", listing)
    (plugins / "one.txt").touch()
    server = serve(tiny)
    assert server.text() == "one.txt"
    (plugins / "two.txt").write_text("")
    server.until_text("one.txt two.txt")
    (plugins / "one.txt").unlink()
    server.until_text("two.txt")
    # What an editor leaves there for a moment is not what a module looks for.
    in_place(plugins / ".two.txt.swp", "")
    tiny.write("spare.py", "")
    server.until_reported("spare.py: reloaded")
    assert len(server.reloaded_files()) == 3


def test_folder_that_is_listed_gains_another(tiny: Project, serve: Serve) -> None:
    """With no file in it whose ending would be a reason."""
    listing = f"import os\n\nVERSION = ' '.join(sorted(os.listdir({str(tiny.path('tenants'))!r})))\n"
    tiny.path("tenants").mkdir()
    tiny.write("version.py", listing)
    server = serve(tiny)
    for names in ("one", "one two"):
        tiny.path(f"tenants/{names[-3:]}").mkdir()
        server.until_text(names)
    tiny.path("tenants/one").rmdir()
    server.until_text("two")


def test_resources_of_a_package_without_init(tiny: Project, serve: Serve) -> None:
    reading = (
        "from importlib.resources import files\n\nVERSION = files('tiny.data').joinpath('version.txt').read_text()\n"
    )
    tiny.path("data").mkdir()
    tiny.path("data/version.txt").write_text("0")
    tiny.write("version.py", reading)
    server = serve(tiny)
    for text in "012":
        atomically(tiny.path("data/version.txt"), text)
        server.until_text(text)


def test_file_that_the_application_writes_is_no_reason(tiny: Project, serve: Serve) -> None:
    tiny.append("version.py", 'from pathlib import Path\n\nPath("log.txt").write_text("imported")\n')
    server = serve(tiny)
    tiny.replace("version.py", "VERSION = 0", "VERSION = 1")
    server.until_text("1")
    server.until_reloads(1)


def test_namespace_package_that_gains_a_file(tiny: Project, serve: Serve) -> None:
    tiny.path("tools").mkdir()
    tiny.write("tools/numbers.py", "NUMBER = 1\n")
    tiny.write("version.py", "from tiny import tools\nfrom tiny.tools import numbers\n\n"
               "VERSION = getattr(tools, 'VERSION', numbers.NUMBER)\n")  # fmt: skip
    server = serve(tiny)
    assert server.text() == "1"
    tiny.write("tools/__init__.py", "VERSION = 2\n")
    server.until_text("2")
    tiny.write("tools/__init__.py", "VERSION = 3\n")
    server.until_text("3")


def test_library_beside_the_reload_directory(tiny: Project, tmp_path: Path, serve: Serve) -> None:
    """It is not installed, so it is the application's as well, and no parent holds it."""
    library = tmp_path / "library"
    library.mkdir()
    (library / "catalogue.py").write_text("VERSION = 1\n")
    tiny.write("version.py", "from catalogue import VERSION\n")
    server = serve(tiny, python_path=[library])
    for version in (2, 3, 4):
        (library / "catalogue.py").write_text(f"VERSION = {version}\n")
        server.until_text(str(version))
    assert server.reports("restarting") == []


def test_import_that_is_gone_is_not_kept(tiny: Project, serve: Serve) -> None:
    """A standby had imported it ahead."""
    tiny.write("registry.py", "from pathlib import Path\n\nNAMES = ['registry']\n")
    tiny.write("version.py", "import sys\n\nfrom tiny import registry\n\nVERSION = 'tiny.registry' in sys.modules\n")
    server = serve(tiny)
    tiny.append("version.py", "# once, so that a process stands by for this file\n")
    server.until_reloads(1)
    server.until_standby()
    tiny.write("version.py", "import sys\n\nVERSION = 'tiny.registry' in sys.modules\n")
    server.until_text("False")


def test_earlier_change_that_did_not_start_counts(lattice: Project, serve: Serve) -> None:
    server = serve(lattice)
    lattice.replace("leaf.py", "VALUE = 0", "VALUE = (")
    server.until_reported("leaf.py: not reloaded")
    lattice.replace("right.py", "VALUE = 0", "VALUE = 1")
    server.until("the second save is refused as well", lambda: len(server.reports("not reloaded")) == 2)
    lattice.replace("leaf.py", "VALUE = (", "VALUE = 2")
    server.until("both are served", lambda: server.get().json["leaf"]["leaf"] == 2)
    assert server.get().json["right"]["right"] == 1


# A standby that is believed whatever it has imported.
BROKEN = """
import sys
from warmfork import command
from warmfork.snapshot import graph
from warmfork.parent import policy
from warmfork.snapshot.record import Record

graph.Graph.dependents = lambda self, names, bare=(): set(names) - {"tiny.version"}
policy._process = lambda files, known: policy.Decision(policy.Way.STANDBY, standby=known.standbys[0])
Record.touches = lambda self, paths: set()
command.main(sys.argv[3:])
"""


def test_last_line_of_defence(tiny: Project, serve: Serve) -> None:
    """A standby with older code costs time, not truth, whatever the fault that let it through."""
    server = serve(tiny, prefix=(sys.executable, "-c", BROKEN))
    for version in range(1, 4):
        server.until_standby()
        tiny.replace("version.py", str(version - 1), str(version))
        server.until_text(str(version))
    assert server.reports("the prepared process had an older tiny/version.py; importing everything")


# As a library does that is not written in Python.
READS_BY_ITSELF = """
import ctypes

system = ctypes.CDLL(None)
text = ctypes.create_string_buffer(9)
file = system.open(b"data.xml", 0)
system.read(file, text, 8)
system.close(file)
VERSION = text.value.decode()
"""


def test_file_that_nobody_was_seen_to_read(tiny: Project, serve: Serve) -> None:
    data = tiny.directory / "data.xml"
    data.write_text("0")
    tiny.write("version.py", READS_BY_ITSELF)
    server = serve(tiny, "--reload-include", str(data))
    for number in range(1, 4):
        server.until_copy()
        data.write_text(str(number))
        server.until_text(str(number))


def test_file_that_is_read_for_requests(tiny: Project, serve: Serve) -> None:
    """Whoever reads it does so again: nothing is imported."""
    page = tiny.directory / "page.html"
    page.write_text("0")
    tiny.replace("main.py", "str(VERSION))\n\n\nasync def process", "open('page.html').read())\n\n\nasync def process")
    server = serve(tiny, "--reload-include", str(page))
    for number in range(1, 4):
        assert server.text() == str(number - 1)
        server.until_copy()
        page.write_text(str(number))
        server.until_reloads(number)
    assert server.text() == "3"
    assert len(server.reports(r"\(swapped\)")) == 3


# A worker of the application, and what it does for as long as it lives.
WRITING = """
import multiprocessing
import time
from contextlib import asynccontextmanager
from pathlib import Path

STATE = Path("state.txt")
state = STATE.read_text()


def work():
    number = 0
    while True:
        STATE.write_text(str(number := number + 1))
        time.sleep(0.02)


@asynccontextmanager
async def lifespan(_):
    worker = multiprocessing.get_context("fork").Process(target=work, daemon=True)
    worker.start()
    yield
    worker.terminate()


app = Starlette(routes=app.routes, lifespan=lifespan)
"""


def test_file_that_another_program_writes_again_and_again(tiny: Project, serve: Serve) -> None:
    """Each of its writes would end the reload for the one before, and with it that of any other file."""
    (tiny.directory / "state.txt").write_text("0")
    tiny.append("main.py", WRITING)
    server = serve(tiny)
    server.until_reported("state.txt is written again and again, by a program: that causes no reload any more")
    for number in range(1, 4):
        tiny.write("version.py", f"VERSION = {number}\n")
        server.until_text(str(number))
    assert len(server.reports("again and again")) == 1


def test_file_that_a_tool_writes_after_each_save(tiny: Project, serve: Serve) -> None:
    made = tiny.directory / "made.txt"
    made.write_text("0")
    tiny.append("main.py", "\nMADE = Path('made.txt').read_text()\n")
    tiny.append("main.py", "app.routes.append(Route('/made', lambda _: PlainTextResponse(MADE)))\n")
    server = serve(tiny)
    for number in range(1, 13):
        tiny.write("version.py", f"VERSION = {number}\n")
        server.until_text(str(number))
        atomically(made, str(number))
        server.until_text(str(number), "/made")
