"""`make up` again goes on where the last one ended."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.e2e.kubectl import CONTEXT, kubectl
from tests.live_update import application
from tests.live_update.application import (
    NAMESPACE,
    REPLICAS,
    Pod,
    answers,
    create_todo,
    pods,
    psql,
    request,
    take_todo,
    versions,
)
from tests.live_update.checkout import Edits
from tests.live_update.loop import BUILD, Loop

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

HOLDING = "FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
COMPONENTS = ("backend", "frontend", "postgres")


@dataclass(frozen=True)
class Restart:
    """What was there before, while it was away, and after."""

    before: list[list[Pod]]
    todo: int
    status: int
    after: list[list[Pod]]


@pytest.fixture(scope="module")
def unchanged(loop: Loop) -> Restart:
    """Start it anew without edits."""
    before, todo = [pods(component) for component in COMPONENTS], create_todo("from before the restart")
    loop.stop()
    status = request("GET", "/api/todos/").status
    loop.start()
    return Restart(before, todo, status, [pods(component) for component in COMPONENTS])


@pytest.fixture(scope="module")
def changed(loop: Loop, unchanged: Restart) -> Iterator[None]:
    """Start it anew after a migration that has failed, with files that it has not seen: some saved, some taken back."""
    assert [pods(component) for component in COMPONENTS] == unchanged.after
    # Their images hold the files as they are now; what is saved next is only in the pods.
    edits = Edits(loop.checkout)
    edits.append("backend/app/routers/todos.py", "# taken back while away\n")
    edits.append("frontend/app.js", "// taken back while away\n")
    edits.write("backend/app/added.py", "ADDED = True\n")
    edits.write("backend/.env", "COMMIT=added\n")
    edits.write("frontend/added.css", "/* added */\n")
    loop.until("the save is served", loop.is_settled)
    loop.until("the settings are there", lambda: versions("commit") == ["added"] * REPLICAS)
    loop.until("the style sheet is there", lambda: answers("frontend", "added.css") == ["/* added */\n"] * REPLICAS)
    fail_migration(loop)
    loop.stop()
    edits.restore()
    edits.replace("backend/app/main.py", 'title="Todo API"', 'title="Saved while away"')
    edits.append("frontend/style.css", "/* saved while away */\n")
    # Waits until every replica serves the checkout's files.
    loop.start()
    yield
    edits.restore()
    loop.until("the application runs with the restored files", loop.is_settled, BUILD)


def fail_migration(loop: Loop) -> None:
    # As another process that migrates would: the Job's pod waits for its turn, and can be ended meanwhile.
    hold = "SELECT pg_advisory_lock(x'746F646F'::int), pg_sleep(120)"
    inside = ["psql", "--username=postgres", "--dbname=todo", f"--command={hold}"]
    command = ["kubectl", "--context", CONTEXT, "--namespace", NAMESPACE, "exec", "postgres-0", "--", *inside]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as holding:
        loop.until("the lock is held", lambda: psql(f"SELECT count(*) {HOLDING}") == "1")
        subprocess.run(["tilt", "trigger", "migrate"], capture_output=True, timeout=30, check=True)
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        loop.until("the migration waits for its turn", lambda: psql(waiting) == "1")
        # It does not listen to SIGTERM, so it would be left in peace for half a minute.
        kubectl(
            "--namespace",
            NAMESPACE,
            "delete",
            "pod",
            "--grace-period=1",
            "--selector",
            "app.kubernetes.io/component=migrate",
        )
        loop.until("the Job has failed", lambda: job("failed") == "1")
        psql(f"SELECT pg_terminate_backend(pid) {HOLDING}")
        holding.wait(timeout=30)


def job(status: str) -> str:
    """Return how many of the migrate Job's pods have this status; empty for none."""
    path = f"jsonpath={{.status.{status}}}"
    return kubectl("--namespace", NAMESPACE, "get", "job", "migrate", "--output", path).stdout


def test_restart_without_edits_changes_nothing(unchanged: Restart) -> None:
    assert unchanged.status == 200
    assert unchanged.after == unchanged.before
    assert take_todo(unchanged.todo) == "from before the restart"


@pytest.mark.usefixtures("changed")
def test_files_saved_while_it_was_away_are_served(loop: Loop) -> None:
    assert application.serves(loop.checkout)


@pytest.mark.usefixtures("changed")
def test_files_taken_back_while_it_was_away_are_gone() -> None:
    assert versions("commit") == ["dev"] * REPLICAS
    assert answers("frontend", "added.css") == [None] * REPLICAS


@pytest.mark.usefixtures("changed")
def test_migration_that_failed_runs_again() -> None:
    assert job("succeeded") == "1"
