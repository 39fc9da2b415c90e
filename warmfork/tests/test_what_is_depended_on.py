"""Whatever a module has read, looked for or asked when it was imported: after a save it is as in a fresh process."""

import py_compile
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from sample_project import Project, atomically
from warmfork_server import Serve, Server

# Each is a module that sets VERSION, and what changes its value, in the project's folder.
Change = Callable[[Path], object]


def writing(name: str) -> Change:
    """Return what writes another text into the file."""
    return lambda folder: atomically(folder / name, "VERSION = 'second'\n")


def insert(folder: Path) -> None:
    with sqlite3.connect(folder / "data.db") as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS versions (number)")
        connection.execute("INSERT INTO versions VALUES (1)")
    connection.close()


def pack(folder: Path) -> None:
    with zipfile.ZipFile(folder / "next.zip", "w") as archive:
        archive.writestr("archived.py", f"VERSION = {(folder / 'archive.zip').exists()}\n")
    (folder / "next.zip").replace(folder / "archive.zip")


WAYS: dict[str, tuple[str, Change]] = {
    "package_data": (
        "import pkgutil\n\nVERSION = pkgutil.get_data('tiny', 'data.txt')\n",
        writing("tiny/data.txt"),
    ),
    "plugin": (
        "import importlib.machinery as m\n\nVERSION = m.SourceFileLoader('', 'tiny/plugin.py').load_module().VERSION\n",
        writing("tiny/plugin.py"),
    ),
    "program": (
        "import runpy\n\nVERSION = runpy.run_module('tiny.script')['VERSION']\n",
        writing("tiny/script.py"),
    ),
    "hidden": ("VERSION = open('.secrets/token').read()\n", writing(".secrets/token")),
    "elsewhere": ("VERSION = open('../shared.txt').read()\n", writing("../shared.txt")),
    "size": ("import os\n\nVERSION = os.path.getsize('style.css')\n", writing("style.css")),
    "flag": ("from pathlib import Path\n\nVERSION = Path('flag').exists()\n", writing("flag")),
    "answer": (
        "import subprocess\n\nVERSION = subprocess.check_output(['cat', 'answer.txt'])\n",
        writing("answer.txt"),
    ),
    "database": (
        "import sqlite3\n\nVERSION = sqlite3.connect('data.db').execute('SELECT count(*) FROM versions').fetchone()\n",
        insert,
    ),
    "optional": (
        "try:\n    from tiny.local_settings import VERSION\nexcept ImportError:\n    VERSION = 'none'\n",
        writing("tiny/local_settings.py"),
    ),
    "found": (
        "from importlib.util import find_spec\n\nVERSION = bool(find_spec('tiny.found_later'))\n",
        writing("tiny/found_later.py"),
    ),
    "overtaken": ("from tiny.thing import VERSION\n", writing("tiny/thing/__init__.py")),
    "beside": (
        "try:\n    from beside import VERSION\nexcept ImportError:\n    VERSION = 'none'\n",
        writing("beside.py"),
    ),
    "archived": (
        "import sys\n\nsys.path.append('archive.zip')\n\nfrom archived import VERSION\n",
        pack,
    ),
}
FIRST = {
    "tiny/data.txt": "first",
    "tiny/plugin.py": "VERSION = 1\n",
    "tiny/script.py": "VERSION = 1\n",
    ".secrets/token": "first",
    "../shared.txt": "first",
    "style.css": "first",
    "answer.txt": "first",
    "tiny/thing.py": "VERSION = 1\n",
    "tiny/thing/data.txt": "",
    "tiny/spare.py": "",
}


@pytest.fixture
def reader(tiny: Project) -> Project:
    """Return a project with a module for each way; the last of its modules, spare, reads nothing."""
    folder = tiny.directory
    for name, text in FIRST.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    insert(folder)
    pack(folder)
    for name, (code, _) in WAYS.items():
        tiny.write(f"way_{name}.py", code)
    imports = "".join(f"from tiny import way_{name}\n" for name in WAYS)
    tiny.write(
        "ways.py",
        f"{imports}\nVERSIONS = {{name: str(way.VERSION) for name, way in globals().items() if name[:4] == 'way_'}}\n",
    )
    tiny.write("version.py", "from tiny.ways import VERSIONS\n\nVERSION = '\\n'.join(VERSIONS.values())\n")
    tiny.replace(
        "main.py", "from tiny.version import VERSION", "from tiny.version import VERSION\nfrom tiny import spare"
    )
    return tiny


def freshly(project: Project) -> str:
    """Return what a new process answers."""
    command = [sys.executable, "-c", "from tiny.version import VERSION; print(VERSION)"]
    return subprocess.run(command, cwd=project.directory, check=True, capture_output=True, text=True).stdout.rstrip(
        "\n"
    )


def test_module_that_waits_for_the_next_change(reader: Project, serve: Serve, subtests: pytest.Subtests) -> None:
    """Its file is as it was, so another process has imported it ahead of the save of spare.py."""
    server = serve(reader)
    answer = server.text()
    for number, (name, (_, change)) in enumerate(WAYS.items()):
        with subtests.test(name):
            server.until_standby()
            change(reader.directory)
            reader.write("spare.py", f"NUMBER = {number}\n")
            before, answer = answer, freshly(reader)
            assert answer != before
            server.until_text(answer)


def test_data_causes_a_reload_by_itself(reader: Project, serve: Serve, subtests: pytest.Subtests) -> None:
    server = serve(reader)
    for name in ("package_data", "plugin", "program", "hidden", "elsewhere", "flag", "optional", "overtaken"):
        with subtests.test(name):
            server.until_standby()
            WAYS[name][1](reader.directory)
            server.until_text(freshly(reader))


def test_folder_beside_the_reload_directory_that_is_listed(tiny: Project, serve: Serve) -> None:
    (tiny.directory / "plugins").mkdir()
    tiny.write("version.py", "import glob\n\nVERSION = ' '.join(sorted(glob.glob('plugins/*')))\n")
    server = serve(tiny)
    (tiny.directory / "plugins" / "one").touch()
    server.until_text("plugins/one")


def test_factory_that_reads(tiny: Project, serve: Serve) -> None:
    data = tiny.directory / "data.txt"
    data.write_text("first")
    tiny.append(
        "main.py", "\n\ndef create():\n    global VERSION\n    VERSION = Path('data.txt').read_text()\n    return app\n"
    )
    server = serve(tiny, "--factory", application="tiny.main:create")
    assert server.text() == "first"
    atomically(data, "second")
    server.until_text("second")


def test_module_that_is_bytecode_alone(tiny: Project, serve: Serve) -> None:
    tiny.write("source.py", "VERSION = 1\n")
    py_compile.compile(str(tiny.path("source.py")), cfile=str(tiny.path("compiled.pyc")))
    tiny.write("version.py", "from tiny.compiled import VERSION\n")
    assert serve(tiny).text() == "1"


LAZY = """
import sys


class Lazy:
    def __getattr__(self, name):
        return {"VERSION": 1}[name]


sys.modules[__name__] = Lazy()
"""


def test_module_in_whose_place_is_something_else(tiny: Project, serve: Serve) -> None:
    tiny.write("lazy.py", LAZY)
    tiny.write("version.py", "from tiny import lazy\n\nVERSION = lazy.VERSION\n")
    server = serve(tiny)
    tiny.replace("lazy.py", ": 1", ": 2")
    server.until_text("2")


def test_entry_beside_the_reload_directory(tiny: Project, serve: Serve) -> None:
    """What it has read is read again with each reload."""
    (tiny.directory / "entry.py").write_text(
        "from tiny.main import *\nfrom tiny import main\n\nmain.VERSION = open('data').read()\n"
    )
    (tiny.directory / "data").write_text("first")
    server = serve(tiny, application="entry:app")
    server.until_standby()
    atomically(tiny.directory / "data", "second")
    server.until_text("second")


def test_program_that_imports_the_application_before_it_serves(tiny: Project, serve: Serve) -> None:
    program = "import sys\nimport tiny.version\nfrom warmfork import command\n\ncommand.main(sys.argv[3:])\n"
    server: Server = serve(tiny, prefix=(sys.executable, "-c", program))
    for number in range(1, 4):
        tiny.write("version.py", f"VERSION = {number}\n")
        server.until_text(str(number))
