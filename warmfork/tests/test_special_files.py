"""Files that cannot be read like others: named pipes, and names that are not UTF-8."""

import os
import socket
import threading
from functools import partial
from pathlib import Path

import pytest

from control_channel import ControlChannel, written
from sample_project import Project
from warmfork.snapshot import reading
from warmfork.snapshot.reading import read_as_it_is, read_environment_file, read_whole
from warmfork.snapshot.sources import Sources
from warmfork_server import Serve, Server

# What Python makes of the name café.py in Latin-1.
NAME = os.fsdecode(b"caf\xe9.py")


def test_what_is_no_file_is_left_alone(tiny: Project, serve: Serve) -> None:
    os.mkfifo(tiny.directory / ".env")
    os.mkfifo(tiny.path("pipe.py"))
    tiny.path("device.py").symlink_to("/dev/zero")
    server = serve(tiny)
    os.mkfifo(tiny.path("other.py"))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(tiny.path("socket.py")))
        tiny.write("version.py", "VERSION = 1\n")
        server.until_text("1")
    # In the place of one that was a file.
    tiny.path("version.py").unlink()
    os.mkfifo(tiny.path("version.py"))
    server.until_reported("not reloaded")
    assert server.text() == "1"
    tiny.path("version.py").unlink()
    tiny.write("version.py", "VERSION = 2\n")
    server.until_text("2")


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.py")
    open_files = Path("/proc/self/fd")
    before = len(list(open_files.iterdir()))
    for path in (tmp_path, tmp_path / "pipe.py"):
        for read in (read_whole, read_as_it_is):
            with pytest.raises(OSError, match="no regular file"):
                read(path)
    # Nothing stays open.
    assert len(list(open_files.iterdir())) == before


def test_variables_from_a_pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A password manager fills it anew for each reader."""
    pipe = tmp_path / ".env"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("NAME=value\n",))
    writer.start()
    assert read_environment_file(pipe) == "NAME=value\n"
    writer.join()
    monkeypatch.setattr(reading, "_PIPE_PATIENCE", 0.01)
    with pytest.raises(OSError, match="nobody fills"):
        read_environment_file(pipe)


def test_variables_from_what_is_no_file(tmp_path: Path) -> None:
    assert read_environment_file(tmp_path / "missing") is None
    with pytest.raises(OSError, match="no regular file"):
        read_environment_file(tmp_path)
    (tmp_path / ".env").write_bytes(b"NAME=caf\xe9\n")
    assert os.fsencode(read_environment_file(tmp_path / ".env") or "") == b"NAME=caf\xe9\n"


def test_file_of_variables_that_cannot_be_read_is_left_out(tiny: Project, serve: Serve) -> None:
    server = serve(tiny, "--env-file", str(tiny.directory))
    assert server.text() == "0"
    assert server.reports("--env-file") == [
        f"--env-file {tiny.directory} cannot be read: it is no regular file; it is left out"
    ]


@pytest.mark.parametrize("encoding", ("ascii", "utf-8:strict"))
def test_name_that_is_not_utf8(encoding: str, tiny: Project, serve: Serve) -> None:
    """The application imports it, as a loop over all modules of a package does; it may be edited, and fail."""
    path, control = tiny.path(NAME), tiny.directory / "control.sock"
    path.write_text("VERSION = 0\n")
    tiny.write(
        "version.py",
        'import importlib, os\n\nVERSION = importlib.import_module("tiny." + os.fsdecode(b"caf\\xe9")).VERSION\n',
    )
    server = serve(tiny, "--control", str(control), environment={"PYTHONIOENCODING": encoding})
    for number in (1, 2):
        path.write_text(f"VERSION = {number}\n")
        server.until_text(str(number))
    server.until_reloads(2)
    assert server.reloaded_files() == [r"tiny/caf\xe9.py"] * 2
    for text, error in (("VERSION = missing\n", "NameError"), ("VERSION = =\n", "SyntaxError")):
        path.write_text(text)
        server.until("the failure is told", partial(is_told, server, error))
        assert r"caf\xe9.py" in str(server.status()["failure"]).replace("\\\\", "\\")
    with ControlChannel(control) as channel:
        channel.hello()
        assert channel.apply(written(path, "VERSION = 3\n"))["outcome"] == "reloaded"
    assert server.text() == "3"


def is_told(server: Server, error: str) -> bool:
    return error in str(server.status()["failure"])


def test_page_about_a_failure_names_it(tiny: Project, serve: Serve) -> None:
    tiny.path(NAME).write_text("VERSION = missing\n")
    tiny.write("version.py", 'import importlib, os\n\nimportlib.import_module("tiny." + os.fsdecode(b"caf\\xe9"))\n')
    server = serve(tiny)
    answer = server.get()
    assert answer.status == 500
    assert r"caf\xe9.py" in answer.text


def test_snapshot_holds_it(tree: Path) -> None:
    path = tree / NAME
    path.write_text("VALUE = 1\n")
    sources, other = (Sources([tree], [], (), ()) for _ in range(2))
    assert sources.digest == other.digest
    path.write_text("VALUE = 2\n")
    assert sources.refresh({path}) == {path}
    assert sources.digest != other.digest
    other.unpack(sources.pack([path]))
    assert sources.digest == other.digest


def test_working_directory_that_is_deleted(tiny: Project, tmp_path: Path, serve: Serve) -> None:
    here = tmp_path / "here"
    here.mkdir()
    server = serve(tiny, "--app-dir", str(tiny.directory), "--reload-dir", str(tiny.path("")), directory=here)
    here.rmdir()
    for number in range(1, 4):
        tiny.write("version.py", f"VERSION = {number}\n")
        server.until_text(str(number))
    tiny.write("version.py", "VERSION = (\n")
    server.until_reported("version.py: not reloaded, the old code serves on")
