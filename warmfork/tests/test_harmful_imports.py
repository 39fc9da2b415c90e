"""What an import may do to its process: the reloader outlives it, and serves as if it had not been."""

import signal
from pathlib import Path

import pytest

from sample_project import Project
from warmfork_server import NEW_PROGRAM, Serve

HARM = {
    "ends": "import os\n\nos._exit(3)\n",
    "is_killed": "import ctypes\n\nctypes.string_at(0)\n",
    "hangs": "import time\n\nwhile True:\n    try:\n        time.sleep(60)\n    except BaseException:\n        pass\n",
}
# Deaf to signals, elsewhere, and without a voice.
DEAF = """
import os
import signal
import socket
import subprocess
import sys

for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
signal.set_wakeup_fd(-1)
os.chdir("/")
sys.stdout = sys.stderr = None
"""


# What a library changes for its process, and what a line says of it, if one does.
CHANGES = {
    "os.close(0)": "closes or replaces a standard stream",
    "os.close(1)": "closes or replaces a standard stream",
    "os.dup2(os.open(os.devnull, os.O_WRONLY), 2)": "closes or replaces a standard stream",
    "json.dumps = lambda value, **_: b''\njson.loads = None": "",
}


@pytest.mark.parametrize(("code", "words"), CHANGES.items())
def test_library_that_changes_its_process(code: str, words: str, tiny: Project, tmp_path: Path, serve: Serve) -> None:
    library = tmp_path / "site-packages"
    library.mkdir()
    (library / "changing.py").write_text(f"import json\nimport os\n\n{code}\n")
    tiny.append("version.py", "import changing\n")
    server = serve(tiny, python_path=[library], status_path=None)
    if words:
        server.until_reported(f"^restarting: changing {words}")
    for number in range(1, 5):
        tiny.replace("version.py", f"VERSION = {number - 1}\n", f"VERSION = {number}\n")
        server.until_text(str(number))
        server.until_one_serves()


@pytest.mark.core
def test_library_that_harms_its_process(tiny: Project, tmp_path: Path, serve: Serve) -> None:
    library = tmp_path / "site-packages"
    library.mkdir()
    for name, code in HARM.items():
        (library / f"{name}.py").write_text(code)
    server = serve(tiny, python_path=[library])
    for number, name in enumerate(HARM, start=1):
        tiny.write("version.py", f"import {name}\n")
        if name != "hangs":
            server.until_reported("version.py: not reloaded, the old code serves on")
        tiny.write("version.py", f"VERSION = {number}\n")
        server.until_text(str(number))


# Of a second process: the application has the lock.
SECOND = """
import fcntl
import os

file = open("lock", "w")
try:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    {then}
"""


@pytest.mark.parametrize(
    ("then", "reason"),
    (
        ("fcntl.flock(file, fcntl.LOCK_EX)", "is not imported here in .* s"),
        ("os._exit(4)", "ends its process here"),
    ),
    ids=("waits", "ends"),
)
def test_library_that_harms_a_second_process(
    then: str, reason: str, tiny: Project, tmp_path: Path, serve: Serve
) -> None:
    library = tmp_path / "site-packages"
    library.mkdir()
    (library / "second.py").write_text(SECOND.format(then=then))
    tiny.append("version.py", "import second\n")
    server = serve(tiny, python_path=[library])
    server.until_reported(f"^restarting: second {reason}; it will be imported in each child instead")
    for number in range(1, 3):
        tiny.replace("version.py", f"VERSION = {number - 1}", f"VERSION = {number}")
        server.until_text(str(number))


def test_library_that_is_deaf(tiny: Project, tmp_path: Path, serve: Serve) -> None:
    """The parent imports it last of all, and must not become so."""
    library = tmp_path / "site-packages"
    library.mkdir()
    (library / "deaf.py").write_text(DEAF)
    tiny.append("version.py", "import os\nimport sys\n\nhere, streams = os.getcwd(), (sys.stdout, sys.stderr)\n"
                "import deaf\n\nos.chdir(here)\nsys.stdout, sys.stderr = streams\n")  # fmt: skip
    server = serve(tiny, python_path=[library], prefix=NEW_PROGRAM)
    server.until_reported("^restarting: deaf .*prints in its own way.*SIGCHLD.*changes the working directory")
    for number in range(1, 3):
        tiny.replace("version.py", f"VERSION = {number - 1}", f"VERSION = {number}")
        server.until_text(str(number))
    server.signal(signal.SIGTERM)
    assert server.wait() == 0


def test_module_without_streams(tiny: Project, serve: Serve) -> None:
    tiny.append("version.py", "import sys\n\nsys.stdout.close()\nsys.stdout = sys.stderr = None\n")
    server = serve(tiny)
    tiny.replace("version.py", "VERSION = 0", "VERSION = 1")
    server.until_text("1")
    server.signal(signal.SIGTERM)
    assert server.wait() == 0


def test_text_that_is_printed_once(tiny: Project, serve: Serve) -> None:
    """It waits in a buffer, of which each fork has a copy."""
    tiny.append("version.py", "print(f'import {VERSION};')\n")
    server = serve(tiny, prefix=NEW_PROGRAM)
    for number in range(1, 3):
        server.until_copy()
        tiny.replace("version.py", f"VERSION = {number - 1}", f"VERSION = {number}")
        server.until_text(str(number))
    server.signal(signal.SIGTERM)
    server.wait()
    assert [server.log.count(f"import {number};") for number in range(3)] == [1, 1, 1]


def test_link_that_leads_to_itself(tiny: Project, serve: Serve) -> None:
    tiny.path("loop.py").symlink_to("loop.py")
    server = serve(tiny)
    tiny.write("version.py", "VERSION = 1\n")
    server.until_text("1")


def test_large_file_that_is_read(tiny: Project, serve: Serve) -> None:
    """The reloader knows it by its size and times; a model need not fit into its memory."""
    model = tiny.directory / "model"
    with model.open("wb") as file:
        file.truncate(1 << 40)
    tiny.append("version.py", "VERSION = open('model', 'rb').read(1)[0]\n")
    server = serve(tiny)
    assert server.text() == "0"
    with model.open("r+b") as file:
        file.write(b"\1")
    server.until_text("1")


STATE = """

def remember(_):
    Path("state").write_text(str(time.time_ns()))
    Path("next").write_text("x")
    Path("next").rename("moved")
    Path("uploads", str(time.time_ns())).touch()
    return PlainTextResponse("")


app.router.routes.append(Route("/remember", remember))
"""


def test_file_that_the_application_reads_and_writes_itself(tiny: Project, serve: Serve) -> None:
    for name in ("state", "moved"):
        (tiny.directory / name).touch()
    (tiny.directory / "uploads").mkdir()
    tiny.append(
        "version.py", "import os\n\nstate = open('state').read(), open('moved').read(), os.listdir('uploads')\n"
    )
    tiny.append("main.py", f"\nimport time\n{STATE}")
    server = serve(tiny)
    for _ in range(3):
        server.text("/remember")
    tiny.write("version.py", "import os\n\nVERSION = len(os.listdir('uploads'))\n")
    server.until_text("3")
    server.until_reloads(1)
    assert server.reloaded_files() == ["tiny/version.py"]


# What is deeper than Python's own calls may be; it is compiled and executed all the same.
DEEP = {
    "terms": f"one = 1\nnumber = {' + '.join(['one'] * 1_500)}\n",
    "branches": "number = 1_500\nif number == 0:\n    pass\n"
    + "".join(f"elif number == {number}:\n    pass\n" for number in range(1, 1_501)),
}


@pytest.mark.parametrize("text", DEEP.values(), ids=DEEP)
def test_text_that_is_nested_deeply(text: str, tiny: Project, serve: Serve) -> None:
    tiny.append("version.py", f"{text}\nassert number == 1_500\n")
    server = serve(tiny)
    assert server.text() == "0"
    for number in range(1, 4):
        tiny.replace("version.py", f"VERSION = {number - 1}\n", f"VERSION = {number}\n")
        server.until_text(str(number))
        server.until_standby()
