"""What an application starts, asks and draws: as in a process of its own, and never twice at a time."""

import gc
import os
import pty
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fork_server import SOURCE
from http_connection import PATIENCE, Connection, request
from sample_project import Project
from traffic import Traffic
from warmfork_server import Serve, Server, sockets

# Each process that does the work says so ever again.
JOB = """
import os
import threading
import time
from pathlib import Path


def work():
    while True:
        Path(f"job-{os.getpid()}").touch()
        time.sleep(0.01)


threading.Thread(target=work, name="job", daemon=True).start()
"""
WORKER = """
import multiprocessing
import time
from contextlib import asynccontextmanager


def work():
    while True:
        time.sleep(1)


@asynccontextmanager
async def lifespan(_):
    worker = multiprocessing.get_context("fork").Process(target=work, daemon=True)
    worker.start()
    yield


app = Starlette(routes=app.routes, lifespan=lifespan)
"""


def workers(project: Project) -> set[int]:
    """Return the processes that do the job at present."""
    found = list(project.directory.glob("job-*"))
    for path in found:
        path.unlink()
    return {int(path.name.partition("-")[2]) for path in found}


@pytest.mark.core
def test_thread_never_runs_twice(tiny: Project, serve: Serve) -> None:
    tiny.write("jobs.py", JOB)
    tiny.append("version.py", "from tiny import jobs\n")
    server = serve(tiny)
    server.until_reported("starts the thread job when it is imported")
    with Traffic(server.port) as traffic:
        for version in range(1, 6):
            tiny.replace("version.py", f"VERSION = {version - 1}", f"VERSION = {version}")
            server.until_text(str(version))
            server.until("the old process is gone", lambda: len(server.processes()) == 2)
            workers(tiny)
            server.until("the job is done", lambda: workers(tiny) == {server.get("/process").json["pid"]})
    assert (traffic.failed, traffic.wrong) == ([], [])
    assert len(server.reports("when it is imported")) == 1
    # It stays so after a mistake, and ends when nothing is started any more.
    tiny.replace("version.py", "VERSION = 5", "VERSION = missing")
    server.until_reported("not reloaded")
    tiny.write("version.py", "VERSION = 6\n")
    server.until("it is repaired", lambda: server.get().text == "6")
    server.until_standby()


def test_worker_processes_end_with_their_server(tiny: Project, serve: Serve) -> None:
    tiny.append("main.py", WORKER)
    server = serve(tiny, "--no-standby", "--no-swap")
    server.until("the worker runs", lambda: len(server.processes()) == 3)
    for version in range(1, 4):
        tiny.replace("version.py", str(version - 1), str(version))
        server.until_text(str(version))
        server.until("the old worker is gone", lambda: len(server.processes()) == 3)
    port = server.port
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    server.await_empty_session()
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_workers_hold_no_socket_of_the_server(tiny: Project, serve: Serve) -> None:
    tiny.append("main.py", WORKER)
    server = serve(tiny, "--no-standby", "--no-swap")
    server.until("the worker runs", lambda: len(server.processes()) == 3)
    serving = server.get("/process").json["pid"]
    (worker,) = {process.pid for process in server.processes()} - {server.pid, serving}
    server.until("it has let go", lambda: not sockets(worker) & sockets(server.pid))


def test_program_that_is_started_gets_an_interrupt(tiny: Project, serve: Serve) -> None:
    tiny.append("version.py", "import subprocess\n\nsleeping = subprocess.Popen(['sleep', '60'])\n")
    server = serve(tiny, "--no-standby", "--no-swap")
    sleeping = next(process.pid for process in server.processes() if name(process.pid) == "sleep")
    os.kill(sleeping, signal.SIGINT)
    server.until("it has ended", lambda: name(sleeping) != "sleep" or state(server, sleeping) == "Z")
    assert server.text() == "0"


def name(pid: int) -> str:
    path = Path(f"/proc/{pid}/comm")
    return path.read_text().strip() if path.exists() else ""


def state(server: Server, pid: int) -> str:
    return next((process.state for process in server.processes() if process.pid == pid), "")


def test_generators_of_libraries_differ(tiny: Project, tmp_path: Path, serve: Serve) -> None:
    library = tmp_path / "library"
    library.mkdir()
    (library / "dice.py").write_text("import random\n\nfree = random.Random()\nseeded = random.Random(1)\n")
    tiny.append("version.py", "from dice import free, seeded\n\nVERSION = f'{free.random()} {seeded.random()}'\n")
    server = serve(tiny, "--no-swap", python_path=[library])
    answers = {server.text()}
    for number in range(1, 4):
        tiny.append("version.py", f"# {number}\n")
        server.until_reloads(number)
        answers.add(server.text())
    assert len(answers) == 4
    assert len({answer.split()[1] for answer in answers}) == 1


@contextmanager
def at_a_terminal(project: Project, output: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a server whose standard input a person writes to, and end it. It must end well."""
    command = [sys.executable, "-m", "warmfork", "tiny.main:app", "--port", "0", "--reload-dir", "tiny", *options]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE), "PYTHONUNBUFFERED": "1"}
    with output.open("wb") as log:
        process = subprocess.Popen(
            command, cwd=project.directory, env=environment, stdin=subprocess.PIPE, stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    assert process.returncode == 0


def served_port(output: Path) -> int:
    return int(until(output, "serving ").partition("http://127.0.0.1:")[2].split()[0])


def test_prompt_is_left_to_the_person_at_it(tiny: Project, tmp_path: Path) -> None:
    """As of pdb: a save must not end the process that is being looked at."""
    tiny.replace("main.py", "str(VERSION))\n\n\nasync def process", "input('name? '))\n\n\nasync def process")
    output = tmp_path / "output"
    with (
        at_a_terminal(tiny, output, "--timeout-graceful-shutdown", "1") as process,
        socket.create_connection(("127.0.0.1", served_port(output)), timeout=PATIENCE) as waiting,
    ):
        waiting.sendall(request("/"))
        until(output, "name? ")
        tiny.replace("version.py", "0", "1")
        until(output, "until its prompt is left")
        assert process.stdin
        process.stdin.write(b"Ada\n")
        process.stdin.flush()
        answer = b""
        while part := waiting.recv(4096):
            answer += part
            if b"Ada" in answer:
                break
        assert b"Ada" in answer


def test_prompt_that_opens_at_the_end_is_ended(tiny: Project, tmp_path: Path) -> None:
    """Its process has been replaced by then, and told to end."""
    tiny.replace(
        "main.py",
        "    while not may_go_on():  # noqa: ASYNC110 - it is said from outside\n",
        "    while not Path('ending').exists():\n",
    )
    tiny.replace("main.py", "await asyncio.sleep(0.01)\n    return PlainText", "time.sleep(0.01)\n    return PlainText")
    tiny.replace("main.py", "(str(VERSION))\n\n\nasync def large", "(input('name? '))\n\n\nasync def large")
    tiny.replace("main.py", "import os\n", "import os\nimport time\n")
    output = tmp_path / "output"
    with at_a_terminal(tiny, output, "--timeout-graceful-shutdown", "1") as process:
        port = served_port(output)
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as waiting:
            waiting.sendall(request("/wait"))
            while not tiny.exists("begun"):
                time.sleep(0.01)
            tiny.replace("version.py", "0", "1")
            until(output, "reloaded")
            with Connection(port) as connection:
                serving = Path(f"/proc/{connection.get('/process').json['pid']}")
            process.terminate()
            while serving.exists():
                time.sleep(0.01)
            tiny.touch("ending")
            until(output, "name? ")
            process.wait(PATIENCE)


def until(output: Path, text: str) -> str:
    """Return what was printed as soon as the text is in it."""
    deadline = time.monotonic() + PATIENCE
    while text not in (printed := output.read_text()):
        assert time.monotonic() < deadline, printed
        time.sleep(0.01)
    return printed


def test_closed_terminal_ends_it(tiny: Project, tmp_path: Path) -> None:
    output = tmp_path / "output"
    output.touch()
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(tiny.directory)
        log = os.open(output, os.O_WRONLY)
        os.dup2(log, 1)
        os.dup2(log, 2)
        command = [sys.executable, "-m", "warmfork", "tiny.main:app", "--port", "0", "--reload-dir", "tiny"]
        os.execve(command[0], command, {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE)})  # noqa: S606
    until(output, "serving ")
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0


TASK = """
import asyncio


class Version:
    text = "0 begun"

    def __str__(self):
        return self.text


async def work():
    VERSION.text = "0 done"


VERSION = Version()
TASK = asyncio.get_running_loop().create_task(work())
"""


def test_application_that_asks_for_the_loop(tiny: Project, serve: Serve) -> None:
    """As under uvicorn, which imports it while the loop runs."""
    tiny.append("version.py", TASK)
    server = serve(tiny)
    server.until_text("0 done")
    for number in (1, 2):
        server.until_standby()
        tiny.replace("version.py", f"{number - 1} done", f"{number} done")
        server.until_text(f"{number} done")


# What no two processes can have, or must not.
TAKEN = """
import atexit
import os
import socket
import subprocess
from pathlib import Path

datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.bind(("127.0.0.1", {port}))
program = subprocess.Popen(["sleep", "60"])
with open("turn", "x"):
    atexit.register(Path("turn").unlink)
"""
STARTED = """
import fcntl
from contextlib import asynccontextmanager


@asynccontextmanager
async def lifespan(_):
    with open("leader", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            role = "leads"
        except BlockingIOError:
            role = "follows"
        app.router.routes.insert(0, Route("/role", lambda _: PlainTextResponse(f"{VERSION} {role}")))
        yield


app = Starlette(routes=app.routes, lifespan=lifespan)
"""
CONFLICT = """
import atexit
from pathlib import Path

if Path("turn").exists():
    raise RuntimeError("it is already running")
Path("turn").touch()
atexit.register(Path("turn").unlink)
"""


def is_free(probe: socket.socket, port: int) -> bool:
    try:
        probe.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True


def test_address_and_program_are_taken_in_turn(tiny: Project, serve: Serve) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        # Not one that the system gives to whoever asks for any.
        port = next(port for port in range(20_000 + os.getpid() % 10_000, 32_000) if is_free(probe, port))
    tiny.append("version.py", TAKEN.format(port=port))
    server = serve(tiny)
    server.until_reported("starts the process .*, a server on port")
    for number in (1, 2):
        tiny.replace("version.py", f"VERSION = {number - 1}", f"VERSION = {number}")
        server.until_text(str(number))
        server.until_one_serves()
        assert len([one for one in server.processes() if name(one.pid) == "sleep"]) == 1
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    server.await_empty_session()
    assert not tiny.exists("turn")


def test_lock_of_a_lifespan_is_taken_in_turn(tiny: Project, serve: Serve) -> None:
    """Who comes second does without, and nobody has it in the end."""
    tiny.append("main.py", STARTED)
    server = serve(tiny)
    server.until_reported("holds a lock on a file")
    for number in (1, 2):
        tiny.replace("version.py", str(number - 1), str(number))
        server.until_text(f"{number} leads", "/role")


def test_conflict_with_the_process_before(tiny: Project, serve: Serve) -> None:
    """What it needs cannot be seen, but that it failed because somebody has it."""
    tiny.append("version.py", CONFLICT)
    server = serve(tiny)
    for number in (1, 2):
        tiny.replace("version.py", f"VERSION = {number - 1}", f"VERSION = {number}")
        server.until_text(str(number))
    assert len(server.reports("needs what only one process can have .*already running")) == 1


LOCKING = """
import atexit
import os

os.open("turn", os.O_CREAT | os.O_EXCL)
atexit.register(os.unlink, os.path.abspath("turn"))
"""


def test_lock_that_is_a_file_is_taken_in_turn(tiny: Project, serve: Serve) -> None:
    tiny.append("version.py", LOCKING)
    server = serve(tiny)
    for number in (1, 2):
        tiny.replace("version.py", f"VERSION = {number - 1}", f"VERSION = {number}")
        server.until_text(str(number))
    assert server.reports("needs what only one process can have .*File exists")


def test_file_that_nobody_holds_is_in_the_way(tiny: Project, serve: Serve) -> None:
    """It was there before, so to end what serves would not help."""
    (tiny.directory / "turn").touch()
    server = serve(tiny)
    tiny.append("version.py", LOCKING)
    server.until_reported("not reloaded, the old code serves on")
    assert server.text() == "0"


def test_nothing_is_made_ready_while_the_process_before_ends(tiny: Project, serve: Serve) -> None:
    """A standby that is forked meanwhile would never end, and what waits until it is alone never begin."""
    # Longer than the pause after which the next processes are made ready.
    tiny.append("version.py", CONFLICT + "import time\natexit.register(time.sleep, 0.5)\n")
    server = serve(tiny)
    for number in (1, 2):
        tiny.replace("version.py", f"VERSION = {number - 1}", f"VERSION = {number}")
        server.until_text(str(number))


def test_collector_that_is_switched_off_stays_so(tiny: Project, serve: Serve) -> None:
    tiny.replace(
        "main.py",
        "str(VERSION))\n\n\nasync def process",
        "f'{VERSION} {gc.isenabled()} {gc.get_threshold()}')\n\n\nasync def process",
    )
    tiny.replace("main.py", "import os\n", "import gc\nimport os\n")
    server = serve(tiny)
    assert server.text() == f"0 True {gc.get_threshold()}"
    tiny.write("version.py", "import gc\n\ngc.disable()\nVERSION = 1\n")
    server.until_text(f"1 False {gc.get_threshold()}")
    tiny.write("version.py", "import gc\n\ngc.set_threshold(9_000, 9, 9)\nVERSION = 2\n")
    server.until_text("2 True (9000, 9, 9)")


def test_context_that_is_set_at_the_import(tiny: Project, serve: Serve) -> None:
    tiny.replace(
        "main.py", "str(VERSION))\n\n\nasync def process", "f'{VERSION} {CONTEXT.get()}')\n\n\nasync def process"
    )
    tiny.replace("main.py", "import VERSION\n", "import CONTEXT, VERSION\n")
    tiny.append("version.py", "import contextvars\n\nCONTEXT = contextvars.ContextVar('CONTEXT', default='unset')\n")
    tiny.append("version.py", "CONTEXT.set('set')\n")
    server = serve(tiny)
    assert server.text() == "0 set"
    tiny.replace("version.py", "VERSION = 0", "VERSION = 1")
    server.until_text("1 set")
    tiny.replace("main.py", "f'{VERSION} ", "f'swapped {VERSION} ")
    server.until_text("swapped 1 set")
