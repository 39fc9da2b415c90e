"""What others make of the files, as the control channel tells its sender."""

import hashlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from control_channel import ControlChannel, written
from sample_project import Project, atomically, in_place, slowly
from warmfork.control.stream import _MAXIMUM_LINE
from warmfork_server import Serve, Server


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control.sock"


@pytest.fixture
def server(tiny: Project, path: Path, serve: Serve) -> Server:
    return serve(tiny, "--control", str(path))


@pytest.fixture
def channel(server: Server, path: Path) -> Iterator[ControlChannel]:
    """Return a stream that has been let in."""
    with ControlChannel(path) as channel:
        assert channel.hello()["protocol"] == 2
        assert server.text() == "0"
        yield channel


def digest(path: Path) -> list[object] | None:
    """Return what is to be told of the path."""
    if path.is_symlink():
        return [f"link:{path.readlink()}", 0]
    if not path.exists():
        return None
    return [hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size]


def await_told(channel: ControlChannel, *paths: Path) -> None:
    """Return when the last that was told of the files is how they are."""
    told: dict[str, object] = {}
    while any(told.get(str(path), "nothing") != digest(path) for path in paths):
        told.update(channel.event()["files"])


@pytest.mark.core
def test_changes_of_others_are_told(tiny: Project, channel: ControlChannel, subtests: pytest.Subtests) -> None:
    file, data = tiny.path("version.py"), tiny.path("page.html")
    for save in (atomically, in_place, slowly):
        with subtests.test(save=save):
            save(file, f"VERSION = 1\n# {save.__name__}\n")
            save(data, f"<p>{save.__name__}")
            await_told(channel, file, data)
    with subtests.test("half"):
        channel.apply(written(file, "VERSION = 3\n"))
        channel.apply(written(file, "VERSION = 4\n"))
        in_place(file, "VERSION")
        await_told(channel, file)
    with subtests.test("link"):
        data.unlink()
        data.symlink_to("version.py")
        await_told(channel, data)
    with subtests.test("deleted"):
        data.unlink()
        await_told(channel, data)
    with subtests.test("large"):
        data.write_bytes(bytes((1 << 20) + 1))
        while (event := channel.event())["files"].get(str(data)) != ["", 0]:
            assert str(data) in event["files"]
    with subtests.test("written for ever"), file.open("a") as writing:
        writing.write("# more\n")
        writing.flush()
        file.open("a").close()
        await_told(channel, file)


def test_changes_of_its_own_are_not_told(tiny: Project, channel: ControlChannel) -> None:
    file, other = tiny.path("version.py"), tiny.path("other.py")
    for number in range(1, 4):
        channel.apply(written(file, f"VERSION = {number}\n"))
        # What was sent arrives by another way as well, also what was sent before.
        atomically(file, f"VERSION = {number}\n")
        atomically(file, f"VERSION = {number - 1}\n" if number > 1 else f"VERSION = {number}\n")
    other.write_text("")
    told: set[str] = set()
    while str(other) not in told:
        event = channel.event()
        assert event["stale"] == []
        told |= event["files"].keys()
    # Beside it what the other tool has left beside it for a moment.
    assert [name for name in told if not name.endswith(".tmp")] == [str(other)]
    assert file.read_text() == "VERSION = 3\n"


def test_folder_that_is_gone_or_another_is_told(tiny: Project, server: Server, channel: ControlChannel) -> None:
    package, away, other = tiny.path("routers"), tiny.directory / "away", tiny.directory / "other"
    for folder, name in ((package, "a.py"), (other, "b.py")):
        folder.mkdir()
        (folder / name).write_text("")
    await_told(channel, package / "a.py")
    package.rename(away)
    await_told(channel, package)
    away.rename(package)
    await_told(channel, package / "a.py")
    server.signal(signal.SIGSTOP)
    package.rename(away)
    other.rename(package)
    server.signal(signal.SIGCONT)
    while str(package) not in (event := channel.event())["stale"]:
        assert event["event"] == "digests"
    page = channel.ask(op="digests", below=str(package), id=4)
    assert (page["id"], page["files"].keys(), page["more"]) == (4, {str(package / "b.py")}, False)


def test_everything_is_told_on_asking(tiny: Project, server: Server, channel: ControlChannel) -> None:
    """In pages, however many files there are; of a change of so many only that there was one."""
    files = [tiny.path(f"{'n' * 150}_{number:04}.py") for number in range(600)]
    # So that it learns of all at once, however long this takes.
    server.signal(signal.SIGSTOP)
    for file in files:
        file.write_text(file.name)
    server.signal(signal.SIGCONT)
    tiny.path("link.py").symlink_to("version.py")
    tiny.path("linked").symlink_to(tiny.directory)
    tiny.path(os.fsdecode(b"caf\xe9.txt")).write_text("closed")
    while str(tiny.path("")) not in (event := channel.event())["stale"]:
        assert event["event"] == "digests"
    told: dict[str, object] = {}
    pages, after, more = 0, "", True
    while more:
        page = channel.ask(op="digests", id=1, below=str(tiny.path("")), after=after)
        more, after = page["more"], max(page["files"])
        assert min(page["files"]) > max(told, default="")
        told.update(page["files"])
        pages += 1
    assert pages > 1
    paths = [path for path in tiny.path("").rglob("*") if path.is_file() or path.is_symlink()]
    assert told == {str(path): digest(path) for path in paths if "__pycache__" not in path.parts}


def test_questions_about_other_folders_are_refused(
    tiny: Project, channel: ControlChannel, subtests: pytest.Subtests
) -> None:
    tiny.path("linked").symlink_to(tiny.directory)
    for below in (
        None,
        7,
        "",
        "tiny",
        "/",
        str(tiny.directory),
        str(tiny.path("../x")),
        str(tiny.path("linked")),
        "\0",
    ):
        with subtests.test(below=below):
            reply = channel.ask(op="digests", id=3, below=below)
            assert (reply["id"], reply["ok"]) == (3, False)
            assert reply["error"].startswith("refused: ")
    assert channel.ask(op="digests", id=3, below=str(tiny.path("none")))["files"] == {}


def test_nothing_is_told_to_somebody_who_was_not_let_in(tiny: Project, server: Server, path: Path) -> None:
    with ControlChannel(path) as stranger, ControlChannel(path) as sender:
        sender.hello()
        tiny.write("version.py", "VERSION = 1\n")
        await_told(sender, tiny.path("version.py"))
        assert stranger.ask(op="status")["error"] == "refused: say hello first"
        assert stranger.events == []
    assert server.text() == "1"


def test_batch_is_written_whole_or_not_at_all(tiny: Project, server: Server, channel: ControlChannel) -> None:
    long = tiny.path("n" * 250)
    reply = channel.apply(written(tiny.path("version.py"), "VERSION = 1\n"), written(long, ""))
    assert reply["error"] == f"refused: {long} cannot be written: File name too long; nothing was changed"
    assert tiny.path("version.py").read_text().endswith("VERSION = 0\n")
    # Nothing of it was remembered either: this is no older content of a file that was sent.
    assert channel.apply(written(tiny.path("version.py"), "VERSION = 2\n"))["outcome"] == "reloaded"
    tiny.write("version.py", "VERSION = 1\n")
    server.until_text("1")


def test_older_content_that_cannot_be_put_back_is_told(tiny: Project, server: Server, channel: ControlChannel) -> None:
    file = tiny.path("version.py")
    for number in (1, 2):
        channel.apply(written(file, f"VERSION = {number}\n"))
    in_the_way = file.with_name(".version.py.warmfork")
    in_the_way.mkdir()
    in_place(file, "VERSION = 1\n")
    await_told(channel, file)
    server.until_text("1")
    in_the_way.rmdir()
    assert channel.apply(written(file, "VERSION = 2\n"))["outcome"] == "reloaded"


def test_line_that_is_too_long_is_not_kept(tiny: Project, server: Server, channel: ControlChannel) -> None:
    def memory() -> int:
        """Return the most bytes that the server has had."""
        lines = Path(f"/proc/{server.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:"))

    before = memory()
    piece = b"x" * (1 << 20)
    for _ in range(3 * (_MAXIMUM_LINE >> 20)):
        channel.send(piece)
    assert channel.reply() == {"ok": False, "error": "refused: the line is too long"}
    channel.send(b"\n")
    assert channel.apply(written(tiny.path("version.py"), "VERSION = 1\n"))["outcome"] == "reloaded"
    assert memory() - before < 2 * _MAXIMUM_LINE


def test_names_need_not_be_text(tiny: Project, channel: ControlChannel) -> None:
    file = tiny.path(os.fsdecode(b"caf\xe9.txt"))
    reply = channel.apply(written(file, "open"))
    assert (reply["outcome"], file.read_text()) == ("unchanged", "open")
    file.write_text("closed")
    await_told(channel, file)
