"""A file that is read while another tool is writing it."""

import base64
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sample_project import Project
from warmfork.child.start_reads import StartReads
from warmfork.control.control import Control, Outcome
from warmfork.events import EventLoop
from warmfork.snapshot.reading import BeingWrittenError, read_whole
from warmfork.snapshot.signature import signature
from warmfork.snapshot.sources import Sources
from warmfork.watching.watcher import Watcher
from warmfork_server import Serve


class IdleReloader:
    """Has no application."""

    def reload(self, paths: set[Path], answer: Callable[[Outcome], None]) -> None:
        answer(Outcome("reloaded" if paths else "unchanged"))

    def describe(self) -> dict[str, Any]:
        return {}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "app" / "version.py"
    file.parent.mkdir()
    file.write_text("VERSION = 0\n")
    return file


@pytest.fixture
def watcher(file: Path) -> Watcher:
    return Watcher([file.parent])


def test_watcher_tells_the_end_of_it(file: Path, watcher: Watcher) -> None:
    other = file.with_name("other.py")
    with file.open("w") as writing:
        other.write_text("OTHER = 0\n")
        assert watcher.is_being_written(file)
        assert not watcher.is_being_written(other)
        assert watcher.again_in == 0.0
        assert watcher.read() == {other}
        assert watcher.again_in is None
        writing.write("VERSION = 1\n")
    assert not watcher.is_being_written(file)
    assert watcher.read() == {file}
    assert watcher.read() == set()


def test_snapshot_waits_for_the_end_of_it(file: Path) -> None:
    """The event that says "look" may be that of the save before, and a file that was just truncated is a half."""
    sources = Sources([file.parent], [], (), ())
    with file.open("w") as writing:
        assert sources.refresh([file]) == set()
        assert not sources.is_complete
        writing.write("VERSION = 1\n")
        writing.flush()
        assert sources.refresh([]) == set()
    assert sources.refresh([]) == {file}
    assert sources.is_complete
    source = sources.get(file)
    assert source is not None
    assert source.content == b"VERSION = 1\n"


def test_file_that_is_always_open_for_writing_is_taken_as_it_is(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = Sources([file.parent], [], (), ())
    with file.open("a") as writing:
        writing.write("# more\n")
        writing.flush()
        assert sources.refresh([file]) == set()
        monkeypatch.setattr("warmfork.snapshot.sources._LONGEST_WRITE", 0.0)
        assert sources.refresh([]) == {file}


def test_writer_waits_for_a_reader(file: Path) -> None:
    """Each content that is read was written as a whole."""
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    texts = ("a" * 2_000, "b" * 2_000)

    def write() -> None:
        for number in range(200):
            file.write_text(texts[number % 2])

    file.write_text(texts[0])
    writer = threading.Thread(target=write)
    writer.start()
    read = set()
    while writer.is_alive():
        with contextlib.suppress(BeingWrittenError):
            read.add(read_whole(file))
    writer.join()
    signal.signal(signal.SIGIO, before)
    assert read <= {text.encode() for text in texts}


@pytest.fixture
def control(tmp_path: Path, file: Path, watcher: Watcher) -> Iterator[Control]:
    """Return one by which a second content of the file has been sent after a first, which the watcher has seen."""
    assert not watcher.read()
    control = Control(tmp_path / "control.sock", [file.parent], IdleReloader(), EventLoop())
    for number in (1, 2):
        content = base64.b64encode(f"VERSION = {number}\n".encode()).decode()
        control.apply([{"path": str(file), "content": content}], lambda _: None)
    yield control
    control.close()


def test_half_of_an_older_content_is_not_taken_for_a_newer_one(control: Control, file: Path, watcher: Watcher) -> None:
    """The event that says "look" may be that of the save before."""
    saved = watcher.read()
    assert file in saved
    with file.open("w") as writing:
        control.put_back(saved, watcher.is_being_written)
        writing.write("VERSION = 1\n")
    control.put_back(watcher.read(), watcher.is_being_written)
    assert file.read_text() == "VERSION = 2\n"


def test_older_content_is_known_when_its_file_was_away_before(control: Control, file: Path, watcher: Watcher) -> None:
    """As tar does it, which deletes a file and then writes it."""
    file.unlink()
    control.put_back(watcher.read(), watcher.is_being_written)
    file.write_text("VERSION = 1\n")
    control.put_back(watcher.read(), watcher.is_being_written)
    assert file.read_text() == "VERSION = 2\n"


# Its first bytes.
HALF = '"""Th'
# Reads its own text when it starts; the first time, somebody else is just writing it, and the parent does not come to
# look before that is over.
READING = """
import os
import signal
from contextlib import asynccontextmanager


@asynccontextmanager
async def lifespan(_):
    path = Path(__file__).with_name("version.py")
    if Path("torn").exists():
        Path("torn").unlink()
        whole = path.read_bytes()
        os.kill(os.getppid(), signal.SIGSTOP)
        path.write_bytes(whole[:5])
        app.state.seen = path.read_bytes()
        path.write_bytes(whole)
        os.kill(os.getppid(), signal.SIGCONT)
    else:
        app.state.seen = path.read_bytes()
    yield


async def seen(_):
    return PlainTextResponse(app.state.seen)


app.router.lifespan_context = lifespan
app.routes.append(Route("/seen", seen))
"""


@pytest.mark.parametrize("swapping", ("--swap", "--no-swap"))
def test_file_that_is_half_written_when_the_application_starts(tiny: Project, serve: Serve, swapping: str) -> None:
    tiny.append("main.py", READING)
    server = serve(tiny, swapping)
    tiny.touch("torn")
    tiny.append("version.py", "\n\ndef unused():\n    pass\n")
    text = tiny.path("version.py").read_text()
    seen = [text]

    def is_whole() -> bool:
        seen.append(server.text("/seen"))
        return seen[-1] == text

    server.until("the whole file was read", is_whole)
    assert not tiny.exists("torn")
    assert HALF not in seen


def test_application_that_reads_half_a_file_at_every_start_is_served(tiny: Project, serve: Serve) -> None:
    tiny.append("main.py", READING.replace('Path("torn").unlink()', "pass"))
    tiny.touch("torn")
    server = serve(tiny)
    server.until("it is served", lambda: server.get("/seen").text == HALF)


# The same, but lists its own files, of which another tool is just replacing one, as tar does it.
LISTING = """
    path = Path(__file__).with_name("version.py")
    if Path("torn").exists():
        Path("torn").unlink()
        os.kill(os.getppid(), signal.SIGSTOP)
        path.rename("aside")
        app.state.seen = " ".join(sorted(one.name for one in path.parent.glob("*.py")))
        Path("aside").rename(path)
        os.kill(os.getppid(), signal.SIGCONT)
    else:
        app.state.seen = " ".join(sorted(one.name for one in path.parent.glob("*.py")))
    yield
"""


@pytest.mark.parametrize("swapping", ("--swap", "--no-swap"))
def test_file_that_is_not_there_just_when_the_application_lists_its_folder(
    tiny: Project, serve: Serve, swapping: str
) -> None:
    beginning, end = READING.index("    path = "), READING.index("\n\nasync def seen")
    tiny.append("main.py", READING[:beginning] + LISTING + READING[end:])
    server = serve(tiny, swapping)
    tiny.touch("torn")
    tiny.append("version.py", "\n\ndef unused():\n    pass\n")
    seen = []

    def is_read() -> bool:
        seen.append(server.text("/seen"))
        return not tiny.exists("torn")

    server.until("the folder was listed", is_read)
    server.until_reloads(1)
    assert {*seen, server.text("/seen")} == {"__init__.py main.py version.py"}


@pytest.mark.parametrize("other", ("VERSION = 1\n", "VER"), ids=("of its size", "half"))
def test_file_that_holds_another_content_only_while_the_application_reads_it(tmp_path: Path, other: str) -> None:
    """As between an older content that another tool delivers and the newer one that is put back."""
    file = tmp_path / "version.py"
    file.write_text("VERSION = 2\n")
    reads = StartReads(Sources([tmp_path], [], (), ()))
    file.write_text(other)
    assert file.read_text() == other
    file.write_text("VERSION = 2\n")
    assert reads.stop() == [str(file)]


def test_file_that_is_as_it_was_when_the_application_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "version.py"
    file.write_text("VERSION = 2\n")
    reads = StartReads(Sources([tmp_path], [], (), ()))
    assert file.read_text() == "VERSION = 2\n"
    assert reads.stop() == []


def test_file_that_came_between_the_snapshot_and_the_import(tmp_path: Path) -> None:
    """A package without one was executed; the file was there by then, and still being written when all were read."""
    sources = Sources([tmp_path], [], (), ())
    file, data = tmp_path / "__init__.py", tmp_path / "data.txt"
    for path in (file, data):
        path.touch()
    assert sources.follow({str(path): signature(str(path)) for path in (file, data)}) == {file}
    assert sources.find(str(file))
    assert sources.refresh({file, data}) == set()
