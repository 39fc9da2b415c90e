"""A save that only changes what functions do is served without executing anything again."""

import os
import re
import signal
import sys
from pathlib import Path

import pytest

from sample_project import Project, Save, atomically, in_place
from warmfork_server import Serve, Server

pytestmark = pytest.mark.skipif(sys.version_info < (3, 12), reason="Python has no sys.monitoring before 3.12")

MODULE = """
import os
import traceback

START = os.urandom(4).hex()
NUMBER = 0

def ran():
    return 0

SEEN = ran()

def answer():
    return "0"

def fails():
    raise LookupError("0")

def lines():
    try:
        fails()
    except LookupError as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return f"{frame.lineno} {frame.line}"
"""
VERSION = """
from tiny import module


class Version:
    def __str__(self):
        return module.answer()


VERSION = Version()
"""


@pytest.fixture
def project(tiny: Project) -> Project:
    """Return a project that answers with what a module of it does."""
    tiny.write("module.py", MODULE)
    tiny.write("version.py", VERSION)
    return tiny


def way(server: Server) -> str:
    """Return how the last change was served, as its line says."""
    lines = server.reports("reloaded in")
    return re.sub(r"^.* ms \((.+)\).*$", r"\1", lines[-1])


@pytest.mark.core
@pytest.mark.parametrize("save", (atomically, in_place))
def test_body_of_a_function(project: Project, serve: Serve, save: Save) -> None:
    project.save = save
    server = serve(project)
    for number in range(1, 6):
        server.until_copy()
        project.replace("module.py", f'return "{number - 1}"', f'return "{number}"')
        server.until_text(str(number))
        server.until_reloads(number)
        assert way(server) == "swapped"
    server.until_one_serves()
    server.until_copy()
    server.until("there is one of each", lambda: len(server.titled("template")) == len(server.titled("copy")) == 1)


LOOKED_AT = """
import inspect


def lines_above():
    pass


class Shown:
    word = "shown"


def answer():
    return inspect.getsource(Shown)
"""


def test_text_of_a_class_that_has_moved(project: Project, serve: Serve) -> None:
    """Since 3.13 a class says itself where it begins."""
    project.write("module.py", LOOKED_AT)
    server = serve(project)
    shown = server.text()
    assert shown.endswith('word = "shown"\n')
    for number in range(1, 3):
        server.until_copy()
        project.replace("module.py", "lines_above():\n", "lines_above():\n    pass\n")
        server.until_reloads(number)
        assert (server.text(), way(server)) == (shown, "swapped")


def test_what_the_import_executes(project: Project, serve: Serve) -> None:
    server = serve(project)
    changes = {
        ("NUMBER = 0", "NUMBER = 1"): "what the import executes has changed in line 6",
        ("def ran():\n    return 0", "def ran():\n    return 1"): "ran, which has run, has changed in line 9",
        ("def answer():", "def answer(a=1):"): "what the import executes has changed in line 13",
        ("def fails():", "def fails(*a):"): "the signature of fails has changed",
        ("def lines():\n", "def lines():\n    'It has one now.'\n"): "the docstring of lines has changed",
    }
    for number, ((old, new), reason) in enumerate(changes.items(), 1):
        server.until_copy()
        project.replace("module.py", old, new)
        server.until_reloads(number)
        assert way(server).partition(": ")[2] == reason
    # The next one is swapped again.
    server.until_copy()
    project.replace("module.py", 'return "0"', 'return "1"')
    server.until_text("1")
    server.until_reloads(6)
    assert way(server) == "swapped"


def test_saves_that_follow_each_other_at_once(project: Project, serve: Serve) -> None:
    """The next one does not wait until there is another copy."""
    server = serve(project)
    server.until_copy()
    for number in range(1, 21):
        project.replace("module.py", f'return "{number - 1}"', f'return "{number}"')
        server.until_text(str(number))


def test_module_that_the_entry_has_read(project: Project, serve: Serve) -> None:
    reading = "Path(__file__).with_name('module.py').read_text()"
    project.append("main.py", f"\nVERSION = {reading}.count('again')\n")
    server = serve(project)
    for number in range(1, 4):
        server.until_copy()
        project.append("module.py", "# again\n")
        server.until_text(str(number))
    server.until_reloads(3)
    assert way(server).partition(": ")[2] == "it was read when the application was imported"


def test_mistake_and_its_repair(project: Project, serve: Serve) -> None:
    server = serve(project)
    server.until_copy()
    project.replace("module.py", "def ran():", "def ran(:")
    server.until_reported("module.py: not reloaded")
    project.replace("module.py", "def ran(:", "def ran():")
    server.until_reloads(1)
    project.replace("module.py", 'return "0"', "return missing")
    server.until("it fails", lambda: server.get().status == 500)
    project.replace("module.py", "return missing", 'return "2"')
    server.until("it is repaired", lambda: server.get().text == "2")
    server.until_reloads(3)
    assert way(server) == "swapped"


def test_import_that_fails_leaves_the_template(project: Project, serve: Serve) -> None:
    """The file as it was before needs no import."""
    server = serve(project)
    server.until_copy()
    project.replace("module.py", "NUMBER = 0", "NUMBER = missing")
    server.until_reported("module.py: not reloaded")
    server.until_copy()
    project.replace("module.py", "NUMBER = missing", "NUMBER = 0")
    server.until_reloads(1)
    assert way(server) == "swapped"


def test_template_that_has_ended(project: Project, serve: Serve) -> None:
    server = serve(project)
    server.until_copy()
    for title in ("copy", "template"):
        for pid in server.titled(title):
            os.kill(pid, signal.SIGKILL)
    server.until("both are gone", lambda: not server.titled("copy") and not server.titled("template"))
    project.replace("module.py", 'return "0"', 'return "1"')
    server.until_text("1")
    server.until_copy()
    project.replace("module.py", 'return "1"', 'return "2"')
    server.until_text("2")
    server.until_reloads(2)
    assert way(server) == "swapped"


def test_new_and_deleted_modules(project: Project, serve: Serve) -> None:
    server = serve(project)
    server.until_copy()
    local = "try:\n    from tiny import local\nexcept ImportError:\n    local = module\n"
    project.write("version.py", VERSION.replace("\n\n\nclass", f"\n{local}\nclass").replace("module.a", "local.a"))
    server.until_reloads(1)
    server.until_copy()
    project.write("local.py", "def answer():\n    return 'local'\n")
    server.until_text("local")
    server.until_copy()
    project.path("local.py").unlink()
    server.until_text("0")


@pytest.mark.parametrize("option", ("--no-swap", "--fresh=tiny.module"))
def test_turned_off(project: Project, serve: Serve, option: str) -> None:
    project.replace("version.py", "return module.answer()", "return f'{module.START} {module.answer()}'")
    server = serve(project, option)
    seen = {server.text()}
    for number in range(1, 4):
        server.until_standby()
        project.append("version.py", "# again\n")
        server.until_reloads(number)
        assert way(server) in {"standby", "imported"}
        seen.add(server.text())
    assert server.titled("template") == []
    # What is the same is executed again all the same.
    assert len(seen) == 4


SHARED = "memory or a lock that several processes share"
# What a module opens when it is imported, and what a line says of it.
OBSTACLES = {
    "import asyncio\n\nloop = asyncio.new_event_loop()\n": "an event loop",
    "import socket\n\nends = socket.socketpair()\n": "a connection",
    "import os\n\nends = os.pipe()\n": "a pipe",
    "from multiprocessing import get_context\n\nlock = get_context('fork').Lock()\n": SHARED,
    "import mmap\n\ncounter = mmap.mmap(-1, 8)\n": SHARED,
    "database = open('kept.db', 'w+b')\n": "kept.db to read and write",
    "import tempfile\n\nfolder = tempfile.TemporaryDirectory()\n": "a temporary folder",
}


@pytest.mark.parametrize(("text", "words"), OBSTACLES.items())
def test_application_that_cannot_be_forked(project: Project, serve: Serve, text: str, words: str) -> None:
    project.write("opened.py", text)
    project.append("module.py", "from tiny import opened\n")
    server = serve(project)
    for number in range(1, 4):
        project.replace("module.py", f'return "{number - 1}"', f'return "{number}"')
        server.until_text(str(number))
        server.until_reloads(number)
        assert way(server).partition(":")[0] in {"standby", "imported"}
    assert server.titled("template") == []
    assert len(server.reports(re.escape(f"tiny.main:app opens {words} when it is imported"))) == 1


def test_module_that_asks_a_program(project: Project, serve: Serve) -> None:
    (project.directory / "answer.txt").write_text("first")
    asking = (
        "import subprocess\n\nTEXT = subprocess.run(['cat', 'answer.txt'], capture_output=True, text=True).stdout\n"
    )
    project.write("asking.py", asking)
    project.replace("version.py", "module.answer()", "asking.TEXT")
    project.replace("version.py", "import module", "import asking, module")
    server = serve(project)
    assert server.text() == "first"
    server.until_reported(r"asks other programs \(in tiny.asking\) when it is imported")
    for text in ("second", "third"):
        server.until_standby()
        (project.directory / "answer.txt").write_text(text)
        project.append("module.py", "# again\n")
        server.until_text(text)


def test_copies_draw_other_numbers(project: Project, tmp_path: Path, serve: Serve) -> None:
    (tmp_path / "dice.py").write_text("import random\n\nfree = random.Random()\nseeded = random.Random(1)\n")
    project.write("module.py", "from dice import free\n\ndef answer():\n    return f'{free.random()} 0'\n")
    server = serve(project, python_path=[tmp_path])
    seen = {server.text().split()[0]}
    for number in range(1, 4):
        server.until_copy()
        project.replace("module.py", f"{number - 1}'", f"{number}'")
        server.until_reloads(number)
        assert way(server) == "swapped"
        seen.add(server.text().split()[0])
    assert len(seen) == 4


def test_equal_files_are_told_apart(project: Project, serve: Serve) -> None:
    """Code objects that do the same are equal, whatever file they are of."""
    project.write("same.py", MODULE)
    project.write("version.py", VERSION.replace("module.answer()", "module.answer() + same.answer() + str(same.ran())"))
    project.replace("version.py", "from tiny import module\n", "from tiny import module, same\n")
    server = serve(project)
    server.until_copy()
    project.replace("module.py", 'return "0"', 'return "1"')
    server.until_text("100")
    server.until_reloads(1)
    assert way(server) == "swapped"
    server.until_copy()
    project.replace("same.py", 'return "0"', 'return "2"')
    server.until_text("120")
    server.until_reloads(2)
    assert way(server) == "swapped"
    server.until_copy()
    project.replace("same.py", "def ran():\n    return 0", "def ran():\n    return 3")
    server.until_text("123")
    server.until_reloads(3)
    assert way(server).endswith(": ran, which has run, has changed in line 9")


def test_line_that_was_taken_from_the_code(tiny: Project, serve: Serve) -> None:
    """As a registry takes it, to show where something is defined."""
    tiny.write("version.py", "def here(): ...\n\n\nVERSION = here.__code__.co_firstlineno\n")
    server = serve(tiny)
    for line in range(2, 5):
        server.until_copy()
        tiny.write("version.py", "#\n" + tiny.path("version.py").read_text())
        server.until_text(str(line))


ASKED = """


class Asked(Route):
    def matches(self, scope):
        if scope["path"] == "/\\0":
            with open("asked", "a") as file:
                file.write(f"{os.getpid()}\\n")
        return super().matches(scope)


app.routes.insert(0, Asked("/asked", version))
"""


def test_routes_are_built_before_they_are_needed(project: Project, serve: Serve) -> None:
    """As FastAPI builds them for the first request, in the process that is copied and in no copy."""
    project.append("main.py", ASKED)
    server = serve(project)
    server.until_copy()
    # A process that it forks has its title at first.
    server.until("there is one template", lambda: len(server.titled("template")) == 1)
    (template,) = server.titled("template")
    project.replace("module.py", 'return "0"', 'return "1"')
    server.until_text("1", "/asked")
    server.until_reloads(1)
    assert way(server) == "swapped"
    assert (project.directory / "asked").read_text().split() == [str(template)]
    # The template has run it.
    project.replace("main.py", 'if scope["path"] ==', 'if scope["path"] !=')
    server.until_reloads(2)
    assert ": Asked.matches, which has run, has changed in line " in way(server)
