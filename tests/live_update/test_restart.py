"""`make up` again goes on where the last one ended."""

import subprocess

import pytest

from tests.e2e.kubectl import CONTEXT, kubectl
from tests.live_update.application import (
    NAMESPACE,
    REPLICAS,
    answers,
    create_todo,
    pods,
    psql,
    request,
    take_todo,
    versions,
)
from tests.live_update.checkout import Edits
from tests.live_update.loop import Loop

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

HOLDING = "FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
COMPONENTS = ("backend", "frontend", "postgres")


def test_it_goes_on_where_the_last_one_ended(loop: Loop, edits: Edits) -> None:
    before = {component: pods(component) for component in COMPONENTS}
    number = create_todo("from before the restart")
    loop.stop()
    assert request("GET", "/api/todos/").status == 200
    loop.start()
    # Without edits nothing changes.
    assert {component: pods(component) for component in COMPONENTS} == before
    assert take_todo(number) == "from before the restart"

    # The pods' images hold the files as they are now; what is saved here is only in the pods, and taken back later.
    edits.append("backend/app/routers/todos.py", "# taken back while away\n")
    edits.append("frontend/app.js", "// taken back while away\n")
    edits.write("backend/app/added.py", "ADDED = True\n")
    edits.write("backend/.env", "COMMIT=added\n")
    edits.write("frontend/added.css", "/* added */\n")
    loop.until("the save is served", loop.is_settled)
    loop.until("the settings are there", lambda: versions("commit") == ["added"] * REPLICAS)
    loop.until("the style sheet is there", lambda: answers("frontend", "added.css") == ["/* added */\n"] * REPLICAS)
    loop.stop()
    edits.restore()
    edits.replace("backend/app/main.py", 'title="Todo API"', 'title="Saved while away"')
    edits.append("frontend/style.css", "/* saved while away */\n")
    # Waits until every replica serves the checkout's files.
    loop.start()
    assert versions("commit") == ["dev"] * REPLICAS
    assert answers("frontend", "added.css") == [None] * REPLICAS


def test_migration_that_failed_runs_again(loop: Loop) -> None:
    # As another process that migrates would: the Job's pod waits for its turn, and can be ended meanwhile.
    hold = "SELECT pg_advisory_lock(x'746F646F'::int), pg_sleep(120)"
    inside = ["psql", "--username=postgres", "--dbname=todo", f"--command={hold}"]
    command = ["kubectl", "--context", CONTEXT, "--namespace", NAMESPACE, "exec", "postgres-0", "--", *inside]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as holding:
        loop.until("the lock is held", lambda: psql(f"SELECT count(*) {HOLDING}") == "1")
        subprocess.run(["tilt", "trigger", "migrate"], capture_output=True, timeout=30, check=True)
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        loop.until("the migration waits for its turn", lambda: psql(waiting) == "1")
        kubectl("--namespace", NAMESPACE, "delete", "pod", "--selector", "app.kubernetes.io/component=migrate")
        loop.until("the Job has failed", lambda: job("failed") == "1")
        psql(f"SELECT pg_terminate_backend(pid) {HOLDING}")
        holding.wait(timeout=30)
    loop.stop()
    loop.start()
    assert job("succeeded") == "1"


def job(status: str) -> str:
    """Return how many of the migrate Job's pods have this status; empty for none."""
    path = f"jsonpath={{.status.{status}}}"
    return kubectl("--namespace", NAMESPACE, "get", "job", "migrate", "--output", path).stdout
