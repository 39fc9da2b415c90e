"""The channel on which changed files are accepted: what it takes, what it refuses, and whom it listens to."""

import itertools
import json
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from control_channel import TOKEN, ControlChannel, deleted, written
from fork_server import SOURCE
from sample_project import Project, Save, atomically, in_place
from traffic import Traffic
from warmfork_server import Serve, Server

OTHER_TOKEN = "another run of a sender, " + "1" * 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the control socket is."""
    return tmp_path / "control.sock"


@pytest.fixture
def server(tiny: Project, path: Path, serve: Serve) -> Server:
    return serve(tiny, "--control", str(path))


@pytest.fixture
def channel(server: Server, path: Path) -> Iterator[ControlChannel]:
    """Return a stream that has been let in."""
    with ControlChannel(path) as channel:
        reply = channel.hello()
        assert reply["ok"] is True
        assert reply["roots"] == [str(server.project.path(""))]
        assert reply["generation"] == server.status()["generation"]
        yield channel


def version(project: Project, number: int) -> dict[str, Any]:
    """Return the change to a version."""
    return written(project.path("version.py"), f"VERSION = {number}\n")


@pytest.mark.usefixtures("server")
def test_socket_is_private(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.core
def test_change_is_served_when_the_reply_comes(tiny: Project, server: Server, channel: ControlChannel) -> None:
    for number in range(1, 11):
        reply = channel.apply(version(tiny, number), number=number)
        assert reply.pop("milliseconds") > 0
        assert reply == {"id": number, "ok": True, "outcome": "reloaded", "error": None, "written": 1}
        assert server.text() == str(number)
        assert tiny.path("version.py").read_text() == f"VERSION = {number}\n"
    server.until_reloads(10)


def test_no_request_fails(tiny: Project, server: Server, channel: ControlChannel) -> None:
    with Traffic(server.port) as traffic:
        for number in range(1, 31):
            assert channel.apply(version(tiny, number))["outcome"] == "reloaded"
    assert (traffic.failed, traffic.wrong) == ([], [])


def test_unchanged_content(tiny: Project, server: Server, channel: ControlChannel) -> None:
    generation = server.status()["generation"]
    reply = channel.apply(written(tiny.path("version.py"), tiny.path("version.py").read_text()))
    assert (reply["ok"], reply["outcome"], reply["error"], reply["written"]) == (True, "unchanged", None, 0)
    assert server.status()["generation"] == generation


def test_file_of_another_kind_is_written(tiny: Project, server: Server, channel: ControlChannel) -> None:
    generation = server.status()["generation"]
    reply = channel.apply(written(tiny.path("new folder/page.html"), "<p>"))
    assert reply["outcome"] == "unchanged"
    assert tiny.path("new folder/page.html").read_text() == "<p>"
    assert server.status()["generation"] == generation


def test_mode_of_a_file_is_kept(tiny: Project, channel: ControlChannel) -> None:
    tiny.path("version.py").chmod(0o640)
    assert channel.apply(version(tiny, 1))["outcome"] == "reloaded"
    assert stat.S_IMODE(tiny.path("version.py").stat().st_mode) == 0o640


def test_failure_is_the_reply(tiny: Project, server: Server, channel: ControlChannel) -> None:
    reply = channel.apply(written(tiny.path("version.py"), "VERSION = missing\n"))
    assert (reply["ok"], reply["outcome"]) == (True, "failed")
    assert reply["error"] == "NameError: name 'missing' is not defined"
    assert server.text() == "0"
    reply = channel.apply(written(tiny.path("version.py"), "VERSION = = 1\n"))
    assert (reply["outcome"], reply["error"]) == ("failed", "SyntaxError: invalid syntax (version.py, line 1)")
    assert channel.apply(version(tiny, 1))["outcome"] == "reloaded"
    assert server.text() == "1"


def test_batch_is_one_reload(tiny: Project, server: Server, channel: ControlChannel) -> None:
    tiny.write("unused.py", "")
    server.until_reloads(1)
    reply = channel.apply(
        written(tiny.path("release/__init__.py"), ""),
        written(tiny.path("release/number.py"), "NUMBER = 7\n"),
        written(tiny.path("version.py"), "from tiny.release.number import NUMBER as VERSION\n"),
        deleted(tiny.path("unused.py")),
    )
    assert reply["outcome"] == "reloaded"
    assert server.text() == "7"
    assert not tiny.path("unused.py").exists()
    # The kernel reports the same files too; that must not be a second change.
    assert channel.apply(version(tiny, 8))["outcome"] == "reloaded"
    server.until_reloads(3)


def test_deleted_file_that_is_not_there(tiny: Project, channel: ControlChannel) -> None:
    assert channel.apply(deleted(tiny.path("missing.py")))["outcome"] == "unchanged"


def test_later_change_supersedes(tiny: Project, server: Server, channel: ControlChannel) -> None:
    """Changes that come while one is being imported; each gets its reply, and the last one counts."""
    block = "from pathlib import Path\nPath('importing').touch()\nwhile True: pass\n"
    channel.send(apply_line(1, written(tiny.path("version.py"), block)))
    server.until("the endless code runs", lambda: tiny.exists("importing"))
    channel.send(apply_line(2, version(tiny, 1)))
    replies = {reply["id"]: reply["outcome"] for reply in (channel.reply(), channel.reply())}
    assert replies == {1: "superseded", 2: "reloaded"}
    assert server.text() == "1"


def apply_line(number: int, *changes: dict[str, Any]) -> bytes:
    return json.dumps({"op": "apply", "id": number, "changes": changes}).encode() + b"\n"


def test_content_that_came_by_another_way_is_served_when_the_reply_comes(
    tiny: Project, server: Server, channel: ControlChannel
) -> None:
    slow = "from pathlib import Path\nPath('importing').touch()\nwhile not Path('go').exists(): pass\nVERSION = 1\n"
    tiny.write("version.py", slow)
    server.until("the new code is being imported", lambda: tiny.exists("importing"))
    channel.send(apply_line(1, written(tiny.path("version.py"), slow)))
    assert channel.ask(op="status", id=2)["id"] == 2
    tiny.touch("go")
    reply = channel.reply()
    assert (reply["id"], reply["outcome"], reply["written"]) == (1, "reloaded", 0)
    assert server.text() == "1"


def test_many_changes_at_once(tiny: Project, server: Server, channel: ControlChannel) -> None:
    channel.send(b"".join(apply_line(number, version(tiny, number)) for number in range(1, 21)))
    replies = [channel.reply() for _ in range(20)]
    assert {reply["id"] for reply in replies} == set(range(1, 21))
    assert all(reply["ok"] for reply in replies)
    assert {reply["outcome"] for reply in replies} <= {"reloaded", "superseded"}
    assert next(reply["outcome"] for reply in replies if reply["id"] == 20) == "reloaded"
    assert server.text() == "20"


def test_changes_that_wait_together_are_one_reload(tiny: Project, server: Server, channel: ControlChannel) -> None:
    """A sender that tells of many saves one after another does not have each of them imported."""
    changes = [written(tiny.path(f"part_{number}.py"), f"PART = {number}\n") for number in range(3)]
    changes.append(written(tiny.path("version.py"), "from tiny.part_2 import PART as VERSION\n"))
    channel.send(b"".join(apply_line(number, change) for number, change in enumerate(changes)))
    assert [channel.reply()["outcome"] for _ in changes] == ["reloaded"] * 4
    assert server.text() == "2"
    server.until_reloads(1)


def test_status(tiny: Project, server: Server, channel: ControlChannel) -> None:
    channel.apply(version(tiny, 1))
    status = channel.ask(op="status")
    assert status.pop("ok") is True
    assert (status["generation"], status["code"]) == (server.status()["generation"], server.status()["code"])
    assert status["failure"] is None
    roles = {process["role"]: process for process in status["processes"]}
    assert roles["parent"]["pid"] == server.pid
    assert roles["serving"]["pid"] == server.get("/process").json["pid"]
    assert roles.keys() <= {"parent", "serving", "standby", "template", "copy", "draining", "ending"}
    assert all(process["pss_bytes"] > 1 << 20 for process in (roles["parent"], roles["serving"]))


STRANGERS: tuple[tuple[dict[str, Any], str], ...] = (
    ({"op": "hello", "protocol": 2, "token": "short"}, "token"),
    ({"op": "hello", "protocol": 2}, "token"),
    ({"op": "hello", "protocol": 2, "token": 10**40}, "token"),
    ({"op": "hello", "protocol": 1, "token": TOKEN}, "this is protocol 2, the sender speaks 1;"),
    ({"op": "hello", "token": TOKEN}, "protocol"),
    ({"op": "apply", "id": 1, "changes": []}, "hello"),
    ({"op": "status"}, "hello"),
)


def test_stranger_is_refused(server: Server, path: Path, subtests: pytest.Subtests) -> None:
    for request, error in STRANGERS:
        with subtests.test(request=request), ControlChannel(path) as channel:
            reply = channel.ask(**request)
            assert reply["ok"] is False
            assert error in reply["error"]
            with pytest.raises(ConnectionError):
                channel.reply()
    assert server.text() == "0"


def test_second_sender_is_refused_while_the_first_is_there(
    tiny: Project, server: Server, path: Path, channel: ControlChannel
) -> None:
    with ControlChannel(path) as other:
        reply = other.hello(OTHER_TOKEN)
        assert reply["ok"] is False
        assert "another sender" in reply["error"]
    with ControlChannel(path) as same:
        assert same.hello()["ok"] is True
        assert same.apply(version(tiny, 1))["outcome"] == "reloaded"
    assert channel.apply(version(tiny, 2))["outcome"] == "reloaded"
    channel.close()

    def is_let_in() -> bool:
        with ControlChannel(path) as other:
            return bool(other.hello(OTHER_TOKEN)["ok"])

    server.until("the other sender is let in", is_let_in)


REFUSED_PATHS = (
    "{project}/outside.py",
    "{project}/tiny-not/main.py",
    "/etc/passwd",
    "{package}/../outside.py",
    "{package}",
    "{package}/",
    "{package}/..",
    "tiny/version.py",
    "version.py",
    "",
    "{package}/linked/main.py",
    "{package}/nul\0.py",
)


def test_link_is_replaced_and_deleted_itself(tiny: Project, server: Server, channel: ControlChannel) -> None:
    outside = tiny.directory / "outside.py"
    outside.write_text("VERSION = 7\n")
    version_file = tiny.path("version.py")
    version_file.unlink()
    version_file.symlink_to(outside)
    server.until_text("7")
    assert channel.apply(version(tiny, 8))["outcome"] == "reloaded"
    assert (version_file.is_symlink(), server.text(), outside.read_text()) == (False, "8", "VERSION = 7\n")
    tiny.write("number.py", "VERSION = 9\n")
    reply = channel.apply({"path": str(version_file), "link": "number.py"})
    assert (reply["outcome"], reply["written"]) == ("reloaded", 1)
    assert (str(version_file.readlink()), server.text()) == ("number.py", "9")
    tiny.write("number.py", "VERSION = 10\n")
    server.until_text("10")
    channel.apply(deleted(version_file))
    assert (version_file.is_symlink(), tiny.exists("tiny/number.py")) == (False, True)


def test_path_is_refused(tiny: Project, server: Server, channel: ControlChannel, subtests: pytest.Subtests) -> None:
    outside = tiny.directory / "outside"
    outside.mkdir()
    (outside / "main.py").write_text("before")
    (tiny.directory / "outside.py").write_text("before")
    tiny.path("linked").symlink_to(outside)
    for target, delete in itertools.product(REFUSED_PATHS, (False, True)):
        with subtests.test(target=target, delete=delete):
            name = target.format(project=tiny.directory, package=tiny.path(""))
            change = {"path": name, "deleted": True} if delete else {"path": name, "content": ""}
            reply = channel.apply(version(tiny, 1), change, number=5)
            assert reply.keys() == {"id", "ok", "error"}
            assert (reply["id"], reply["ok"]) == (5, False)
            assert reply["error"].startswith("refused: ")
            # Nothing of the batch was written.
            assert server.text() == "0"
            assert tiny.path("version.py").read_text().endswith("VERSION = 0\n")
            assert (outside / "main.py").read_text() == (tiny.directory / "outside.py").read_text() == "before"
    assert channel.apply(version(tiny, 2))["outcome"] == "reloaded"


def test_size_is_limited(tiny: Project, server: Server, channel: ControlChannel) -> None:
    text = tiny.path("version.py").read_text()
    limit = 1 << 20
    reply = channel.apply(written(tiny.path("version.py"), "#" * (limit + 1)))
    assert reply["ok"] is False
    assert str(limit) in reply["error"]
    assert tiny.path("version.py").read_text() == text
    full = "VERSION = 1\n"
    assert channel.apply(written(tiny.path("version.py"), full + "#" * (limit - len(full))))["outcome"] == "reloaded"
    assert server.text() == "1"


MALFORMED_CHANGES: tuple[Any, ...] = (
    None,
    [],
    {},
    "text",
    ["text"],
    [{}],
    [{"path": 1, "content": ""}],
    [{"path": "{file}"}],
    [{"path": "{file}", "content": None}],
    [{"path": "{file}", "content": "not base64!"}],
    [{"path": "{file}", "content": 7}],
    [{"path": "{file}", "deleted": False}],
    [{"path": "{file}", "deleted": "yes"}],
    [{"path": "{file}", "link": ""}],
    [{"path": "{file}", "link": 7}],
    [{"path": "{file}\ud800", "content": ""}],
)


def test_malformed_changes_are_refused(
    tiny: Project, server: Server, channel: ControlChannel, subtests: pytest.Subtests
) -> None:
    for changes in MALFORMED_CHANGES:
        with subtests.test(changes=changes):
            # Put in as text, for a change may be anything.
            named = json.loads(json.dumps(changes).replace("{file}", str(tiny.path("version.py"))))
            reply = channel.ask(op="apply", id=9, changes=named)
            assert (reply["id"], reply["ok"]) == (9, False)
    assert channel.apply(version(tiny, 1))["outcome"] == "reloaded"
    assert server.text() == "1"


GARBAGE = (
    b"GET / HTTP/1.1\r\n",
    b"\n",
    b"{\n",
    b"[]\n",
    b"null\n",
    b'"hello"\n',
    b"\xff\xfe\n",
    b"[" * 100_000 + b"\n",
    b'{"op": "none"}\n',
    b'{"op": ["hello"]}\n',
    b'{"op": "hello", "protocol": 2, "token": "' + b"\\ud800" * 40 + b'"}\n',
    b'{"op": "apply", "id": NaN, "changes": []}\n',
)


def test_garbage_is_answered_and_harms_nobody(
    tiny: Project, server: Server, path: Path, channel: ControlChannel, subtests: pytest.Subtests
) -> None:
    for garbage in GARBAGE:
        with subtests.test(garbage=garbage[:40]):
            with ControlChannel(path) as stranger:
                stranger.send(garbage)
                assert stranger.reply()["ok"] in {True, False}
            channel.send(garbage)
            assert channel.reply()["ok"] is False
    assert channel.apply(version(tiny, 1))["outcome"] == "reloaded"
    assert server.text() == "1"


def test_sender_that_goes_away_in_the_middle(tiny: Project, server: Server, path: Path) -> None:
    for size in (0, 1, 30, 60):
        with ControlChannel(path) as channel:
            channel.hello()
            channel.send(apply_line(1, version(tiny, 7))[:size])
    with ControlChannel(path) as channel:
        channel.hello()
        channel.send(apply_line(1, version(tiny, 1)))
    server.until_text("1")


def test_sender_that_does_not_read(tiny: Project, server: Server, path: Path) -> None:
    """It may lose its stream; nobody else waits for it."""
    with ControlChannel(path) as channel:
        channel.hello()
        line = b'{"op": "status"}\n' * 100
        for _ in range(50):
            try:
                channel.send(line)
            except (ConnectionError, TimeoutError):
                break
        tiny.replace("version.py", "0", "1")
        server.until_text("1")


def until_version_on_disk(number: int, server: Server) -> None:
    file = server.project.path("version.py")
    server.until(f"version {number} is back", lambda: file.read_text() == f"VERSION = {number}\n")


@pytest.mark.parametrize("save", (atomically, in_place), ids=("atomic", "in_place"))
def test_older_content_that_another_tool_writes_is_put_back(
    save: Save, tiny: Project, server: Server, channel: ControlChannel
) -> None:
    """Tilt delivers what we have delivered, later; the file ends with what was sent last."""
    original = tiny.path("version.py").read_text()
    for number in range(1, 4):
        channel.apply(version(tiny, number))
    for late in (original, "VERSION = 1\n", "VERSION = 2\n", "VERSION = 3\n"):
        save(tiny.path("version.py"), late)
        until_version_on_disk(3, server)
        assert server.text() == "3"
    tiny.write("main.py", tiny.path("main.py").read_text() + "# the end\n")
    server.until("that is served", lambda: server.reports("main.py.*: reloaded"))
    assert server.text() == "3"


def test_older_content_that_another_tool_writes_is_not_served(
    tiny: Project, server: Server, channel: ControlChannel
) -> None:
    with Traffic(server.port) as traffic:
        for number in range(1, 21):
            channel.apply(version(tiny, number))
            atomically(tiny.path("version.py"), f"VERSION = {max(number - 3, 1)}\n")
            until_version_on_disk(number, server)
    assert (traffic.failed, traffic.wrong) == ([], [])


def test_older_content_that_another_tool_is_writing(tiny: Project, server: Server, channel: ControlChannel) -> None:
    """As long as it is incomplete, it is neither an older content nor a newer one."""
    for number in (10, 11, 12):
        channel.apply(version(tiny, number))
    server.signal(signal.SIGSTOP)
    tiny.path("version.py").write_text("VERSION = 10\n")
    with tiny.path("version.py").open("w") as file:
        file.write("VERSION = 1")
        file.flush()
        server.signal(signal.SIGCONT)
        tiny.write("main.py", tiny.path("main.py").read_text() + "# the end\n")
        server.until_reported("main.py.*: reloaded")
        assert server.text() == "12"
        file.write("1\n")
    until_version_on_disk(12, server)
    assert server.text() == "12"


def test_deleted_file_that_another_tool_writes_is_deleted_again(
    tiny: Project, server: Server, channel: ControlChannel
) -> None:
    extra = tiny.path("extra.py")
    channel.apply(written(extra, "EXTRA = 1\n"))
    channel.apply(deleted(extra))
    atomically(extra, "EXTRA = 1\n")
    server.until("it is gone again", lambda: not extra.exists())


def test_revert_over_the_channel_is_respected(tiny: Project, server: Server, channel: ControlChannel) -> None:
    for number in (1, 2, 1):
        assert channel.apply(version(tiny, number))["outcome"] == "reloaded"
        assert server.text() == str(number)
    # Version 2 is now the older one.
    atomically(tiny.path("version.py"), "VERSION = 2\n")
    until_version_on_disk(1, server)
    assert server.text() == "1"


def test_new_content_that_another_tool_writes_counts(tiny: Project, server: Server, channel: ControlChannel) -> None:
    channel.apply(version(tiny, 1))
    channel.apply(version(tiny, 2))
    tiny.write("version.py", "VERSION = 3\n")
    server.until_text("3")
    # From now on that file is the other tool's.
    tiny.write("version.py", "VERSION = 1\n")
    server.until_text("1")


def test_contents_are_forgotten_when_the_stream_closes(tiny: Project, server: Server, channel: ControlChannel) -> None:
    channel.apply(version(tiny, 1))
    channel.apply(version(tiny, 2))
    channel.close()
    tiny.write("version.py", "VERSION = 1\n")
    server.until_text("1")


def test_channel_after_a_restart_of_the_parent(tiny: Project, path: Path, serve: Serve) -> None:
    settings = tiny.directory / "development.env"
    settings.write_text("A=1\n")
    server = serve(tiny, "--control", str(path), "--env-file", "development.env")
    with ControlChannel(path) as channel:
        assert channel.hello()["ok"] is True
        settings.write_text("A=2\n")
        with pytest.raises(ConnectionError):
            channel.reply()
    server.until_reported("development.env: reloaded")
    with ControlChannel(path) as channel:
        assert channel.hello(OTHER_TOKEN)["ok"] is True
        assert channel.apply(version(tiny, 1))["outcome"] == "reloaded"
    assert server.text() == "1"


def test_socket_is_gone_after_the_end(server: Server, path: Path) -> None:
    server.stop()
    assert not path.exists()


def test_relay(tiny: Project, server: Server, path: Path) -> None:
    lines = b'{"op": "hello", "protocol": 2, "token": "%s"}\n' % TOKEN.encode() + apply_line(1, version(tiny, 1))
    with subprocess.Popen(
        [sys.executable, "-m", "warmfork.relay", str(path)],
        env={"PYTHONPATH": str(SOURCE)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as relay:
        assert relay.stdin is not None
        assert relay.stdout is not None
        relay.stdin.write(lines)
        relay.stdin.flush()
        assert b'"ok": true' in relay.stdout.readline()
        assert b'"outcome": "reloaded"' in relay.stdout.readline()
        assert server.text() == "1"
        relay.stdin.close()
        assert relay.stdout.read() == b""
    assert relay.returncode == 0


def test_relay_ends_with_the_server(server: Server, path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "warmfork.relay", str(path)],
        env={"PYTHONPATH": str(SOURCE)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as relay:
        assert relay.stdin is not None
        assert relay.stdout is not None
        relay.stdin.write(b'{"op": "hello", "protocol": 2, "token": "%s"}\n' % TOKEN.encode())
        relay.stdin.flush()
        assert b'"ok": true' in relay.stdout.readline()
        server.stop()
        assert relay.stdout.read() == b""


def test_relay_without_a_server(path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "warmfork.relay", str(path)],
        env={"PYTHONPATH": str(SOURCE)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert str(path) in result.stderr
    assert "--control" in result.stderr
    assert "Traceback" not in result.stderr
