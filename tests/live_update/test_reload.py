"""What sets the loop apart: no failed request, the fast lane, crashes that cost no container, a page that follows."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from app.version import source_digest
from bench.connection import Target
from bench.history import Judge, Kind
from bench.load import Load
from bench.page import PageFile, open_page
from bench.replicas import PAGE, RATE, read_answer
from bench.saves import Mode
from tests.e2e.kubectl import kubectl
from tests.live_update import application
from tests.live_update.application import NAMESPACE, REPLICAS, pods
from tests.live_update.checkout import Edits
from tests.live_update.loop import Loop

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

MAIN = "backend/app/main.py"
SAVES = 10
# Every process that process 1 has forked.
KILL_CHILDREN = """
for stat in /proc/[0-9]*/stat; do
  if read -r pid _ _ parent _ <"$stat" && [ "$parent" = 1 ]; then kill -9 "$pid"; fi
done 2>/dev/null
"""


def code(loop: Loop) -> str:
    return source_digest(loop.checkout / "backend" / "app")


def test_no_request_fails_while_code_changes(loop: Loop, edits: Edits) -> None:
    """Requests on new and on kept connections, all the time, through nginx."""
    judge = Judge(code(loop))
    with loop.live_update("backend"), Load(Target(*PAGE, read_answer), RATE) as load:
        for number in range(SAVES):
            saved = time.monotonic()
            edits.append(MAIN, f"# save {number}\n")
            judge.expect(code(loop), saved)
            loop.until("every replica serves the save", lambda: application.serves(loop.checkout))
    tallies = judge.tally(load.take())
    for kind in Kind:
        assert tallies[kind].requests > 100
        assert not tallies[kind].failures
    assert judge.wrong == []


def test_fast_lane_reaches_every_replica(loop: Loop, edits: Edits) -> None:
    before = loop.log("fast-lane")
    with loop.live_update("backend"):
        edits.append(MAIN, "# by the fast lane\n")
        loop.until(
            "the fast lane reports the save",
            lambda: f"app/main.py: {REPLICAS} of {REPLICAS} replicas in " in loop.log("fast-lane")[len(before) :],
        )
        assert application.serves(loop.checkout)


def test_everything_works_with_the_fast_lane_broken(loop: Loop, edits: Edits) -> None:
    (process,) = [path for path in Path("/proc").glob("[0-9]*") if is_fast_lane(path, loop.checkout)]
    os.kill(int(process.name), signal.SIGKILL)
    loop.until("it has ended", lambda: not process.exists())
    with loop.live_update("backend"):
        edits.append(MAIN, "# by Tilt alone\n")
        loop.until("every replica serves the save", lambda: application.serves(loop.checkout))
    subprocess.run(["tilt", "trigger", "fast-lane"], capture_output=True, timeout=30, check=True)
    loop.until("it is back", loop.is_settled)


def is_fast_lane(process: Path, checkout: Path) -> bool:
    try:
        words = (process / "cmdline").read_bytes().split(b"\0")
        return words[1:3] == [b"-m", b"fastlane"] and (process / "cwd").readlink() == checkout
    except OSError:  # it ended just now
        return False


def test_crash_of_the_serving_process_restarts_no_container(loop: Loop) -> None:
    before = pods("backend")
    for pod in before:
        result = kubectl("--namespace", NAMESPACE, "exec", pod.name, "--", "bash", "-c", KILL_CHILDREN)
        assert result.returncode == 0, result.stderr
    loop.until("every replica answers again", lambda: application.serves(loop.checkout))
    assert pods("backend") == before
    assert "process ended by signal 9" in loop.log("backend")


def test_checkout_of_another_branch(loop: Loop, edits: Edits) -> None:
    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "init.defaultBranch=main")
        command = ["git", *identity, *arguments]
        subprocess.run(command, cwd=loop.checkout / "backend" / "app", check=True, capture_output=True)

    def is_served() -> bool:
        return application.serves(loop.checkout)

    git("init", "--quiet")
    git("add", "--all")
    git("commit", "--quiet", "--message", "before")
    git("switch", "--quiet", "--create", "other")
    with loop.live_update("backend"):
        edits.replace(MAIN, 'title="Todo API"', 'title="Other branch"')
        edits.append("backend/app/routers/todos.py", "# on another branch\n")
        edits.write("backend/app/added.py", "ADDED = True\n")
        loop.until("every replica serves the new branch", is_served)
    git("add", "--all")
    git("commit", "--quiet", "--message", "after")
    for branch in ("main", "other", "main"):
        with loop.live_update("backend"):
            git("switch", "--quiet", branch)
            loop.until(f"every replica serves branch {branch}", is_served)


def test_personal_settings_reach_every_replica(loop: Loop, edits: Edits) -> None:
    def until_served(commit: str) -> None:
        expected = [commit] * REPLICAS
        loop.until(f"every replica has {expected}", lambda: application.versions("commit") == expected)

    for commit in ("first", "second"):
        with loop.live_update("backend"):
            edits.write("backend/.env", f"COMMIT={commit}\n")
            until_served(commit)
    with loop.live_update("backend"):
        edits.remove("backend/.env")
        until_served("dev")
    with loop.live_update("backend"):
        edits.write("backend/.env", "COMMIT=third\n")
        until_served("third")


def test_open_page_follows_what_is_saved(loop: Loop, edits: Edits) -> None:
    with open_page() as page:
        for number, name in enumerate(("index.html", "style.css", "app.js"), 1):
            edits.keep(f"frontend/{name}")
            file = PageFile(loop.checkout / "frontend", name)
            assert page.shows(file.kind, file.edit(number), Mode.ATOMIC, 60) is not None, f"{name} is not shown"
