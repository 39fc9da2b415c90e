"""No reload costs a request: not one that is under way, not one on a kept connection, not one that comes meanwhile."""

import itertools
import random
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from control_channel import ControlChannel
from http_connection import Answer, Connection, request
from sample_project import Project, Save, atomically, in_place
from traffic import Traffic
from warmfork.events import EventLoop
from warmfork.parent.handover import Handover
from warmfork.parent.processes import Processes
from warmfork.settings import Settings
from warmfork_server import Serve, Server

# Importing this version tells that it has begun, and waits until the test lets it go on.
BLOCKED = """
from pathlib import Path
from time import sleep

Path("importing").touch()
while not Path("import").exists():
    sleep(0.01)
VERSION = 1
"""
# The application tells that it has been shut down.
LIFESPAN = """async def lifespan(_):
    yield
    Path("left").touch()


app = Starlette(
    lifespan=lifespan,"""
PATIENT = ("--timeout-graceful-shutdown", "60")
# A busy machine takes longer than what uvicorn lets a connection be idle.
HOLDING = ("--hold-timeout", "60", "--timeout-keep-alive", "60")


def save_version(project: Project, server: Server, version: int) -> None:
    """Save the version and return once it is served."""
    project.write("version.py", f"VERSION = {version}\n")
    server.until_text(str(version))


@pytest.mark.core
def test_idle_connections_are_kept(tiny: Project, serve: Serve) -> None:
    server = serve(tiny, *HOLDING)
    with ExitStack() as stack:
        connections = [stack.enter_context(server.connect()) for _ in range(30)]
        for version in range(1, 11):
            answers = [connection.get() for connection in connections]
            assert [answer.text for answer in answers] == [str(version - 1)] * len(connections)
            assert not any(answer.is_last for answer in answers)
            save_version(tiny, server, version)
        assert [connection.get().text for connection in connections] == ["10"] * len(connections)


def test_many_idle_connections_are_kept(tiny: Project, serve: Serve) -> None:
    """More than one message between two processes can carry."""
    server = serve(tiny, *HOLDING)
    with ExitStack() as stack:
        connections = [stack.enter_context(server.connect()) for _ in range(600)]
        for connection in connections:
            connection.get()
        save_version(tiny, server, 1)
        assert {connection.get().text for connection in connections} == {"1"}


def test_connection_without_a_request_yet_is_kept(tiny: Project, serve: Serve) -> None:
    server = serve(tiny, *HOLDING)
    with server.connect() as silent:
        save_version(tiny, server, 1)
        save_version(tiny, server, 2)
        assert silent.get().text == "2"


def test_connection_that_served_long_requests_is_kept(tiny: Project, serve: Serve) -> None:
    """What a connection has been used for is of no account once it is idle."""
    server = serve(tiny, *HOLDING)
    with server.connect() as kept:
        for version in range(1, 4):
            assert len(kept.get("/large").body) == 8 << 20
            kept.send(request("/length", method="POST", body=bytes(1 << 20)))
            assert kept.answer().json["length"] == 1 << 20
            save_version(tiny, server, version)
            assert kept.get().text == str(version)


@pytest.mark.parametrize("save", (atomically, in_place), ids=("atomic", "in_place"))
@pytest.mark.timeout(300)
def test_continuous_requests(save: Save, tiny: Project, serve: Serve) -> None:
    tiny.save = save
    server = serve(tiny)
    with Traffic(server.port, kept=2, new=2) as traffic:
        for version in range(1, 21):
            save_version(tiny, server, version)
    assert traffic.failed == []
    assert traffic.wrong == []
    assert traffic.answered > 20 * 4


@pytest.mark.timeout(300)
def test_continuous_requests_and_random_pauses(tiny: Project, serve: Serve) -> None:
    """Saves come while a reload is under way, and the hand-over meets requests in every state."""
    server = serve(tiny)
    pauses = random.Random(4)  # noqa: S311
    stop = threading.Event()
    with Traffic(server.port, kept=4, new=1) as traffic:
        for version in range(1, 51):
            tiny.write("version.py", f"VERSION = {version}\n")
            stop.wait(pauses.uniform(0, 0.15))
        server.until_text("50")
    assert traffic.failed == []
    assert traffic.wrong == []


def test_continuous_requests_while_code_is_broken_and_repaired(tiny: Project, serve: Serve) -> None:
    server = serve(tiny)
    with Traffic(server.port) as traffic:
        for version in range(1, 11):
            tiny.write("version.py", "VERSION = missing\n")
            server.until("the failure is told", lambda: server.status()["failure"])
            save_version(tiny, server, version)
    assert traffic.failed == []
    assert traffic.wrong == []


def test_request_under_way_is_answered_by_the_old_code(tiny: Project, serve: Serve) -> None:
    server = serve(tiny, *PATIENT)
    with server.connect() as waiting:
        waiting.send(request("/wait"))
        server.until("the request has begun", lambda: tiny.exists("begun"))
        save_version(tiny, server, 1)
        save_version(tiny, server, 2)
        tiny.touch("go")
        answer = waiting.answer()
        assert (answer.status, answer.text) == (200, "0")
        assert_goes_on(waiting, server, answer, "2")


def assert_goes_on(connection: Connection, server: Server, last: Answer, expected: str) -> None:
    """The connection serves on with new code, or was closed as its last answer announced."""
    if last.is_last:
        assert connection.rest() == b""
        assert server.text() == expected
    else:
        assert connection.get().text == expected


def test_what_outlasts_the_grace_period_ends(tiny: Project, serve: Serve) -> None:
    tiny.replace("main.py", "app = Starlette(", LIFESPAN)
    server = serve(tiny, "--timeout-graceful-shutdown", "1")
    pid = server.get("/process").json["pid"]
    with server.connect() as waiting, server.connect() as stream, server.connect() as kept:
        assert kept.get().text == "0"
        waiting.send(request("/wait"))
        server.until("the request has begun", lambda: tiny.exists("begun"))
        stream.send(request("/stream"))
        assert stream.head()[0] == 200
        assert stream.chunk() == b"data: 0\n\n"
        save_version(tiny, server, 1)
        assert kept.get().text == "1"
        waiting.rest()
        # No reset: the client reads the end of the data.
        assert stream.rest()
        # In good order.
        server.until("the old process has shut down", lambda: tiny.exists("left"))
        server.await_end_of(pid)
        assert kept.get().text == "1"


def test_body_that_is_sent_across_a_reload(tiny: Project, serve: Serve) -> None:
    server = serve(tiny, *PATIENT)
    body = bytes(200_000)
    with server.connect() as slow:
        slow.send(request("/length", f"Content-Length: {len(body)}", method="POST"))
        slow.send(body[:100_000])
        server.until("the request has begun", lambda: tiny.exists("begun"))
        save_version(tiny, server, 1)
        slow.send(body[100_000:])
        answer = slow.answer()
        assert answer.json == {"version": 0, "length": len(body)}
        assert_goes_on(slow, server, answer, "1")


def test_head_that_is_sent_across_a_reload(tiny: Project, serve: Serve, subtests: pytest.Subtests) -> None:
    server = serve(tiny, *PATIENT)
    data = request("/")
    for version, (is_first, cut) in enumerate(itertools.product((True, False), (1, 10, 20, -2)), start=1):
        with subtests.test(is_first=is_first, cut=cut), server.connect() as slow:
            if not is_first:
                slow.get()
            slow.send(data[:cut])
            # An answer on another connection shows that the server has had the time to read.
            server.text()
            save_version(tiny, server, version)
            slow.send(data[cut:])
            answer = slow.answer()
            assert answer.status == 200
            assert_goes_on(slow, server, answer, str(version))


def test_pipelined_requests(tiny: Project, serve: Serve) -> None:
    server = serve(tiny, *PATIENT)
    with server.connect() as eager:
        eager.send(request("/wait") + request("/") + request("/process"))
        server.until("the first request has begun", lambda: tiny.exists("begun"))
        save_version(tiny, server, 1)
        tiny.touch("go")
        answers = [eager.answer()]
        while len(answers) < 3 and not answers[-1].is_last:
            answers.append(eager.answer())
        assert [answer.status for answer in answers] == [200] * len(answers)
        assert answers[0].text == "0"
        assert_goes_on(eager, server, answers[-1], "1")


def test_answer_that_is_read_slowly(tiny: Project, serve: Serve) -> None:
    server = serve(tiny, *PATIENT)
    with server.connect() as slow:
        slow.send(request("/large"))
        _, headers = slow.head()
        save_version(tiny, server, 1)
        assert slow.body(headers) == bytes(8 << 20)
        # The head came before the save and did not announce an end.
        assert slow.get().text == "1"


def test_stream_goes_on_while_the_new_code_does_not_start(tiny: Project, tmp_path: Path, serve: Serve) -> None:
    server = serve(tiny, "--control", str(tmp_path / "control.sock"))
    with server.connect() as stream, ControlChannel(tmp_path / "control.sock") as channel:
        stream.send(request("/stream"))
        stream.head()
        tiny.write("version.py", "VERSION = missing\n")
        server.until_reported("not reloaded")
        channel.hello()
        # Only a process that drains ends its streams.
        assert "draining" not in {process["role"] for process in channel.ask(op="status")["processes"]}
        for _ in range(10):
            assert stream.chunk() == b"data: 0\n\n"


def test_websocket_is_closed_with_a_reason_to_return(tiny: Project, serve: Serve) -> None:
    server = serve(tiny, "--timeout-graceful-shutdown", "1")
    address = f"ws://127.0.0.1:{server.port}/echo"
    with connect(address) as socket:
        socket.send("hello")
        assert socket.recv() == "0 hello"
        save_version(tiny, server, 1)
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code in {1001, 1012}
    with connect(address) as socket:
        socket.send("hello")
        assert socket.recv() == "1 hello"


def test_requests_wait_for_the_new_code(tiny: Project, serve: Serve) -> None:
    server = serve(tiny, *HOLDING)
    with ExitStack() as stack:
        kept = [stack.enter_context(server.connect()) for _ in range(5)]
        for connection in kept:
            assert connection.get().text == "0"
        tiny.write("version.py", BLOCKED)
        server.until("the new code is being imported", lambda: tiny.exists("importing"))
        new = [stack.enter_context(server.connect()) for _ in range(200)]
        for connection in kept + new:
            connection.send(request("/"))
        tiny.touch("import")
        assert {connection.answer().text for connection in kept + new} == {"1"}


def test_status_waits_for_the_new_code(tiny: Project, serve: Serve) -> None:
    server = serve(tiny, *HOLDING)
    generation = server.status()["generation"]
    tiny.write("version.py", BLOCKED)
    server.until("the new code is being imported", lambda: tiny.exists("importing"))
    with server.connect() as connection:
        connection.send(request("/_warmfork"))
        tiny.touch("import")
        # The file that it has waited for is a change, too.
        assert connection.answer().json["generation"] in {generation + 1, generation + 2}


def test_kept_connection_that_is_held_is_not_late(tiny: Project, serve: Serve) -> None:
    """Uvicorn closes one on which nothing has come for a time; what comes now is not read."""
    server = serve(tiny, *HOLDING, "--timeout-keep-alive", "1")
    with server.connect() as connection:
        connection.get()
        tiny.write("version.py", BLOCKED)
        server.until("the new code is being imported", lambda: tiny.exists("importing"))
        connection.send(request("/"))
        late = time.monotonic() + 1.5
        server.until("the time is over", lambda: time.monotonic() > late)
        tiny.touch("import")
        assert connection.answer().text == "1"


def test_old_code_answers_when_the_new_one_takes_long(tiny: Project, serve: Serve) -> None:
    server = serve(tiny, "--hold-timeout", "0.3")
    with server.connect() as kept:
        kept.get()
        tiny.write("version.py", BLOCKED)
        server.until("the new code is being imported", lambda: tiny.exists("importing"))
        assert kept.get().text == "0"
        assert server.text() == "0"
        assert kept.get().text == "0"
        tiny.touch("import")
        server.until_text("1")
        assert kept.get().text == "1"


def test_answers_say_that_they_are_of_old_code(tiny: Project, serve: Serve) -> None:
    server = serve(tiny, "--hold-timeout", "0.1")
    assert "warmfork-outdated" not in server.get().headers
    assert server.status()["is_outdated"] is False
    tiny.write("version.py", BLOCKED)
    server.until("the new code is being imported", lambda: tiny.exists("importing"))
    server.until("answers say so", lambda: server.get().headers["warmfork-outdated"] == "newer code is still starting")
    assert server.text() == "0"
    assert server.status()["is_outdated"] is True
    server.until_reported("still starting after 0.1 s; the old code answers meanwhile")
    tiny.touch("import")
    server.until_text("1")
    # The file that it has waited for is a change as well, which may take its time.
    server.until("answers no longer say so", lambda: "warmfork-outdated" not in server.get().headers)
    server.until("no newer code is on its way", lambda: server.status()["is_outdated"] is False)


@pytest.mark.parametrize(
    ("given", "starts", "seconds"),
    ((0.5, (30.0,), 0.5), (None, (), 10.0), (None, (4.0,), 10.0), (None, (0.1, 8.0, 0.1), 16.0)),
)
def test_time_for_which_requests_wait(given: float | None, starts: tuple[float, ...], seconds: float) -> None:
    handover = Handover(Processes(), EventLoop(), Settings(app="tiny.main:app", hold_timeout=given))
    for start in starts:
        handover.note_start(start)
    assert handover.hold_timeout == seconds


BUSY = """
async def busy(_):
    Path("busy").touch()
    while not Path("idle").exists():
        time.sleep(0.005)
    return PlainTextResponse(str(VERSION))


app.routes.append(Route("/busy", busy))
"""


@pytest.mark.parametrize("is_late", (True, False))
def test_old_code_answers_nobody_once_new_code_does(tiny: Project, serve: Serve, is_late: bool) -> None:
    """It may be busy just when the new code is ready, and read requests before it reads that."""
    tiny.append("main.py", "import time\n" + BUSY)
    server = serve(tiny, *(("--hold-timeout", "0.1") if is_late else ()))
    with server.connect() as kept, server.connect() as busy:
        kept.get()
        if is_late:
            tiny.write("version.py", BLOCKED + 'Path("imported").touch()\n')
            server.until("old code answers", lambda: "warmfork-outdated" in server.get().headers)
        busy.send(request("/busy"))
        server.until("the process is busy", lambda: tiny.exists("busy"))
        kept.send(request("/"))
        if is_late:
            tiny.touch("import")
        else:
            tiny.write("version.py", "from pathlib import Path\n\nVERSION = 1\nPath('imported').touch()\n")
        server.until("the new code is imported", lambda: tiny.exists("imported"))
        answers: list[str] = []
        with server.connect() as new:
            new.send(request("/"))
            reading = threading.Thread(target=lambda: answers.append(f"new {new.answer().text}"))
            reading.start()
            late = time.monotonic() + 0.5
            server.until("the new code answers if it may", lambda: answers or time.monotonic() > late)
            was_answered = bool(answers)
            tiny.touch("idle")
            answers.append(f"kept {kept.answer().text}")
            reading.join()
    # Two that are answered at nearly the same time are noted here in any order.
    assert not (was_answered and answers == ["new 1", "kept 0"])


def test_waiting_requests_are_answered_when_the_new_code_fails(tiny: Project, serve: Serve) -> None:
    server = serve(tiny, *HOLDING)
    with server.connect() as kept, server.connect() as new:
        kept.get()
        tiny.write("version.py", BLOCKED + "raise ValueError\n")
        server.until("the new code is being imported", lambda: tiny.exists("importing"))
        for connection in (kept, new):
            connection.send(request("/"))
        tiny.touch("import")
        assert [connection.answer().text for connection in (kept, new)] == ["0", "0"]
