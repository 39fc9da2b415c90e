"""Variables that the application itself sets, as from a file: whoever looks at them sees what a fresh process would."""

from functools import partial
from pathlib import Path

import pytest

from sample_project import Project, atomically
from warmfork_server import Serve, Server

LOOKING = "import os\n\nVERSION = os.environ.get('VERSION', 'unset')\n"
# As load_dotenv() does it.
SETTING = "import os\n\nos.environ.setdefault('VERSION', open('.env').read())\n"


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Return a folder of installed modules, with one that looks at the variable when it is imported."""
    library = tmp_path / "site-packages"
    library.mkdir()
    (library / "looking.py").write_text(LOOKING)
    (library / "outer.py").write_text("from looking import VERSION\n")
    return library


def entry_is_reloaded(server: Server, times: int) -> bool:
    return len(server.reports(r"main\.py: reloaded")) == times


def save_several(project: Project, server: Server) -> None:
    """Save the file with the variable and the entry by turns, each when a process stands by."""
    for number in range(1, 4):
        server.until_standby()
        atomically(project.directory / ".env", str(number))
        server.until_text(str(number))
        server.until_standby()
        project.append("main.py", f"# {number}\nNUMBER = {number}\n")
        # A restart in between, where there is one, tells of a reload of its own.
        server.until("that is served", partial(entry_is_reloaded, server, number))
        assert server.text() == str(number)
    assert server.reports("older") == []


def test_module_of_the_application(tiny: Project, serve: Serve) -> None:
    atomically(tiny.directory / ".env", "0")
    tiny.write("version.py", LOOKING)
    tiny.write("main.py", SETTING + tiny.path("main.py").read_text())
    server = serve(tiny)
    assert server.text() == "0"
    save_several(tiny, server)
    server.until_reloads(6)


@pytest.mark.parametrize("name", ("looking", "outer"))
def test_library(name: str, tiny: Project, library: Path, serve: Serve) -> None:
    """The parent has no such variable."""
    atomically(tiny.directory / ".env", "0")
    tiny.write("version.py", f"{SETTING}from {name} import VERSION\n")
    server = serve(tiny, python_path=[library])
    assert server.text() == "0"
    save_several(tiny, server)
    server.until_reloads(6)
    assert server.reports("restarting") == []


def test_library_that_others_import(tiny: Project, library: Path, serve: Serve) -> None:
    """These alone have it imported, from the second reload on."""
    atomically(tiny.directory / ".env", "0")
    tiny.write("version.py", f"{SETTING}import looking\nimport outer\n\nVERSION = outer.VERSION\n")
    server = serve(tiny, python_path=[library])
    assert server.text() == "0"
    save_several(tiny, server)
    # At leisure, and by a new program, which is not to be ended before it has begun.
    server.until_reported("restarting: outer imports looking, which depends on the environment")
    server.until_reported("tiny.main:app: reloaded")
    assert len(server.reports("restarting")) == 1


def test_variable_that_is_set_from_now_on(tiny: Project, library: Path, serve: Serve) -> None:
    """Somebody has looked at it ahead: the process that stands by, and a library that the parent has imported."""
    tiny.write("version.py", LOOKING)
    tiny.append("main.py", "\nimport looking\n\nVERSION = f'{VERSION} {looking.VERSION}'\n")
    server = serve(tiny, python_path=[library])
    assert server.text() == "unset unset"
    server.until_standby()
    text = tiny.path("main.py").read_text()
    for value in ("first", "second"):
        tiny.write("main.py", f"import os\n\nos.environ['VERSION'] = '{value}'\n{text}")
        server.until_text(f"{value} {value}")
        server.until_standby()
    tiny.write("main.py", text)
    server.until_text("unset unset")
    assert len(server.reports("restarting: libraries were imported before the application has set VERSION")) <= 1


def test_variable_that_is_set_after_all_have_looked(tiny: Project, library: Path, serve: Serve) -> None:
    tiny.write("version.py", LOOKING)
    tiny.append("main.py", "\nimport os\n\nimport looking\n\nos.environ['VERSION'] = 'late'\n")
    server = serve(tiny, python_path=[library])
    for number in range(1, 4):
        server.until_standby()
        tiny.append("main.py", f"NUMBER = {number}\n")
        server.until_reloads(number)
        assert server.text() == "unset"
    assert server.reports("older|restarting") == []
