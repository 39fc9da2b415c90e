"""What a machine or a person does to a running application, and that it comes back with its data."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.drills.deployment import DevelopmentDeployment
from tests.drills.programs import processes
from tests.drills.verdict import give
from tests.e2e.kubectl import kubectl
from tests.live_update import application
from tests.live_update.application import NAMESPACE, Answer, create_todo, pods, request, take_todo
from tests.live_update.checkout import copy_checkout
from tests.live_update.loop import Loop

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

COMPONENTS = ("backend", "frontend", "postgres")
CONTAINERS = ("todo-control-plane", "todo-registry")
SLEEP = 60  # seconds
PASSWORDS = "k8s/components/generated-secret/database.env"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_checkout(tmp_path_factory.mktemp("recovery") / "checkout")


@pytest.fixture
def loop(checkout: Path) -> Iterator[Loop]:
    loop = Loop(checkout)
    with loop.running():
        yield loop


def test_killed_node_and_registry_come_back_with_the_data(loop: Loop) -> None:
    number = create_todo("from before the kill")
    loop.stop()
    subprocess.run(["docker", "kill", *CONTAINERS], check=True, capture_output=True)
    loop.start()
    assert take_todo(number) == "from before the kill"


@pytest.mark.parametrize("command", ((sys.executable, "-m", "devenv", "down"), ("tilt", "down")), ids=("make", "tilt"))
def test_data_outlive_what_takes_the_application_down(loop: Loop, command: tuple[str, ...]) -> None:
    number = create_todo("from before")
    loop.stop()
    subprocess.run(command, cwd=loop.checkout, check=True, capture_output=True)
    loop.start()
    assert take_todo(number) == "from before"


def test_second_clone_finds_the_same_application(loop: Loop, tmp_path: Path) -> None:
    number = create_todo("from the first clone")
    before = {component: pods(component) for component in COMPONENTS}
    loop.stop()
    clone = tmp_path / "clone"
    # Without what the first clone's `make up` has left in it.
    shutil.copytree(loop.checkout, clone, symlinks=True, ignore=shutil.ignore_patterns(".devenv", "database.env"))
    with Loop(clone).running():
        assert {component: pods(component) for component in COMPONENTS} == before
        assert take_todo(number) == "from the first clone"


def test_machine_that_was_asleep_goes_on(loop: Loop) -> None:
    number = create_todo("from before the sleep")
    before = pods("backend")
    with asleep():
        # What a node is given to tell of itself, and more; nothing that could be awaited.
        time.sleep(SLEEP)
    woken = time.monotonic()
    with loop.edits() as edits:
        edits.append("backend/app/main.py", "# saved after the sleep\n")
        edits.append("frontend/style.css", "/* saved after the sleep */\n")
        loop.until("every replica serves what was saved", lambda: application.serves(loop.checkout))
        print(f"\nasleep for {SLEEP} s: two saves served by all {time.monotonic() - woken:.1f} s after")
        assert take_todo(number) == "from before the sleep"
    assert pods("backend") == before


def test_lost_database_is_said_and_comes_back(loop: Loop) -> None:
    number = create_todo("from before the outage")
    backends, (database,) = pods("backend"), pods("postgres")
    seen: list[Answer] = []

    def answered_with(status: int) -> bool:
        # Bounded by its own timeout: an answer that hangs is raised, not waited for.
        seen.append(request("GET", "/api/todos/"))
        return seen[-1].status == status

    delete = ["--namespace", NAMESPACE, "delete", "pod", database.name, "--grace-period=1", "--wait=false"]
    assert kubectl(*delete).returncode == 0
    loop.until("the API says that the database is away", lambda: answered_with(503))
    loop.until("the API works again", lambda: answered_with(200), 120)
    assert {answer.status for answer in seen} == {200, 503}
    assert all(answer.retry_after for answer in seen if answer.status == 503)
    assert pods("backend") == backends
    assert pods("postgres") != [database]
    assert take_todo(number) == "from before the outage"


def test_rotated_passwords_cost_no_request(loop: Loop, request: pytest.FixtureRequest) -> None:
    number = create_todo("from before the rotation")
    old, before, database = app_password(loop.checkout), pods("backend"), pods("postgres")
    assert login(old) == ""
    rotate = [sys.executable, "-m", "devenv", "rotate"]
    deployed = DevelopmentDeployment(NAMESPACE)
    with deployed.traffic("--rate", "50") as traffic:
        traffic.wait_for(50)
        with loop.build("backend"):
            subprocess.run(rotate, cwd=loop.checkout, check=True, capture_output=True)
        traffic.wait_for(100)
    figures = deployed.figures(traffic)
    give(f"{request.node.name}-dev", "all passwords rotated", "50 a second", figures)
    new = app_password(loop.checkout)
    assert new != old
    assert not set(pods("backend")) & set(before)
    assert pods("postgres") == database
    assert login(new) == ""
    assert "password authentication failed" in login(old)
    assert (figures.failed, figures.lost) == (0, []), figures
    assert take_todo(number) == "from before the rotation"


@contextmanager
def asleep() -> Iterator[None]:
    """Stop every process of the loop and of the cluster, as when the lid of a laptop is closed."""
    found = processes()
    outside = [process.identifier for name in ("Tilt", "fast lane", "dashboard") for process in found[name]]
    subprocess.run(["docker", "pause", *CONTAINERS], check=True, capture_output=True)
    try:
        for identifier in outside:
            os.kill(identifier, signal.SIGSTOP)
        yield
    finally:
        for identifier in outside:
            os.kill(identifier, signal.SIGCONT)
        subprocess.run(["docker", "unpause", *CONTAINERS], check=True, capture_output=True)


def app_password(checkout: Path) -> str:
    lines = (checkout / PASSWORDS).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)["app_password"]


def login(password: str) -> str:
    """Return why the backend's role cannot log in with the password; empty when it can."""
    # By way of standard input: a password never stands on a command line.
    script = "PGPASSWORD=$(cat) psql --host=127.0.0.1 --username=todo_app --dbname=todo --command='SELECT 1'"
    command = ["exec", "--stdin", "postgres-0", "--", "sh", "-c", script]
    result = kubectl("--namespace", NAMESPACE, *command, stdin=password)
    return result.stderr if result.returncode else ""
