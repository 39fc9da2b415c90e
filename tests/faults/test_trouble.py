"""What happens to a checkout and to pods in people's loops: the next save is served all the same."""

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from bench.processes import PROC
from tests.drills.programs import processes
from tests.e2e.kubectl import kubectl
from tests.live_update import application
from tests.live_update.application import NAMESPACE, REPLICAS, pods
from tests.live_update.checkout import Edits
from tests.live_update.loop import BUILD, Loop, running_in_copy

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

MAIN = "backend/app/main.py"
KILLS = 6
# The kubelet waits for up to five minutes before it starts a container again.
BACK_OFF = 330  # seconds
BALLAST = 130 << 20  # bytes
INSTANCES = Path("/proc/sys/fs/inotify/max_user_instances")
# As a network file system, or a filter for large files: each file takes its time.
SLOW = "sleep 0.05; cat"


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    with running_in_copy(tmp_path_factory.mktemp("trouble")) as loop:
        yield loop


@pytest.fixture
def edits(loop: Loop) -> Iterator[Edits]:
    with loop.edits() as edits:
        yield edits


def served(loop: Loop, seconds: float = 60) -> None:
    loop.until("every replica serves the checkout", lambda: application.serves(loop.checkout), seconds)


def test_save_while_a_container_is_not_started_again_yet(loop: Loop, edits: Edits) -> None:
    name = pods("backend")[0].name
    for _ in range(KILLS):
        loop.until("it runs", partial(has_state, name, "running"), BACK_OFF)
        before = restarts(name)
        os.kill(first_process(name), signal.SIGKILL)
        loop.until("the kubelet has noticed", partial(is_down_or_restarted, name, before))
    edits.append(MAIN, "# saved while a container waits\n")
    served(loop, BACK_OFF)
    edits.append(MAIN, "# and once more\n")
    served(loop)


def test_application_with_large_data_is_not_ended_for_want_of_memory(loop: Loop, edits: Edits) -> None:
    before = pods("backend")
    edits.append(MAIN, f"\nBALLAST = bytearray(b'x') * {BALLAST}\n")
    served(loop)
    for number in range(10):
        edits.append(MAIN, f"BALLAST[{number}] = {number}\n")
        served(loop)
    assert pods("backend") == before


def test_edits_while_it_starts_are_served(loop: Loop, edits: Edits) -> None:
    loop.stop()
    over = threading.Event()

    def save() -> None:
        number = 0
        while not over.wait(0.3):
            edits.append(MAIN, f"# {number} while it starts\n")
            number += 1

    saving = threading.Thread(target=save)
    timer = threading.Timer(20, over.set)
    for thread in (saving, timer):
        thread.start()
    try:
        loop.start()
    finally:
        over.set()
        saving.join()
        timer.join()
    served(loop)


def test_name_that_is_not_utf_8_hinders_no_save(loop: Loop, edits: Edits) -> None:
    name = os.path.join(os.fsencode(loop.checkout / "backend" / "app"), b"caf\xe9.py")  # noqa: PTH118 - of bytes
    with open(name, "wb") as file:  # noqa: PTH123 - of bytes
        file.write(b"COFFEE = True\n")
    try:
        edits.append(MAIN, "# beside a name in Latin-1\n")
        loop.until("the other file's save is served", lambda: all("# beside" in text for text in main_files()))
    finally:
        os.unlink(name)  # noqa: PTH108 - of bytes
    edits.append(MAIN, "# without it\n")
    served(loop)


def test_deleted_migration_is_no_loss(loop: Loop, edits: Edits) -> None:
    delete = ("--namespace", NAMESPACE, "delete", "--wait=true")
    assert kubectl(*delete, "pod", "--selector", "app.kubernetes.io/component=migrate").returncode == 0
    assert kubectl(*delete, "job", "migrate").returncode == 0
    edits.append(MAIN, "# without the Job\n")
    served(loop)
    loop.stop()
    loop.start()


@pytest.mark.parametrize("what", ("job", "pod"))
def test_migration_deleted_while_ci_waits_for_it_ends_with_a_verdict(loop: Loop, what: str) -> None:
    command = ["python3", "-m", "devenv", "ci"]
    with (loop.checkout / ".devenv" / "ci.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=loop.checkout, stdout=log, stderr=log)
        selector = ("--selector", "app.kubernetes.io/component=migrate")
        find = ("--namespace", "todo-ci", "get", what, *selector, "--output", "name")
        loop.until("the migration is there", lambda: kubectl(*find).stdout, BUILD)
        kubectl("--namespace", "todo-ci", "delete", what, "--grace-period=1", "--wait=false", *selector)
        code = process.wait(timeout=600)
    said = (loop.checkout / ".devenv" / "ci.log").read_text(errors="replace")
    print(f"\nmake ci, its migration's {what} deleted meanwhile: {code}")
    assert "make ci: passed" in said if code == 0 else "make ci: FAILED" in said


def test_new_pod_with_the_last_inotify_instance_reloads(loop: Loop, edits: Edits) -> None:
    pod = pods("backend")[0].name
    # Each pod's user is the same, and holds one in each.
    with inotify_instances(REPLICAS + 1):
        kubectl("--namespace", NAMESPACE, "delete", "pod", pod, "--wait=false")
        loop.until("another pod is there", lambda: pod not in {one.name for one in pods("backend")})
        served(loop, BUILD)
        edits.append(MAIN, "# with the last instance\n")
        served(loop)


def test_slow_checkout_in_a_linked_worktree(loop: Loop, tmp_path: Path) -> None:
    loop.stop()
    repository, worktree = tmp_path / "repository", tmp_path / "worktree"
    shutil.copytree(loop.checkout, repository, symlinks=True, ignore=shutil.ignore_patterns(".devenv"))
    git(repository, "init", "--quiet", "--initial-branch=main")
    git(repository, "config", "filter.slow.smudge", SLOW)
    (repository / ".gitattributes").write_text("*.py filter=slow\n")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "first")
    for path in (repository / "backend" / "app").rglob("*.py"):
        path.write_text(path.read_text() + "# of the second commit\n")
    git(repository, "commit", "--quiet", "--all", "--message", "second")
    git(repository, "worktree", "add", "--quiet", str(worktree), "HEAD~1")
    other = Loop(worktree)
    with other.running():
        git(worktree, "checkout", "--quiet", "--detach", "main")
        served(other)
    loop.start()


def git(folder: Path, *words: str) -> None:
    author = ("-c", "user.name=drill", "-c", "user.email=drill@localhost")
    subprocess.run(["git", *author, *words], cwd=folder, check=True, capture_output=True)


def first_process(pod: str) -> int:
    """Return the process on this machine that is the backend container's process 1."""
    for process in processes()["backend"]:
        folder = PROC / str(process.identifier)
        inner = (folder / "status").read_text().partition("NSpid:")[2].splitlines()[0].split()[-1]
        if inner == "1" and f"HOSTNAME={pod}".encode() in (folder / "environ").read_bytes().split(b"\0"):
            return process.identifier
    raise ConnectionError(f"{pod} runs no backend")


def has_state(pod: str, state: str) -> bool:
    path = f"jsonpath={{.status.containerStatuses[*].state.{state}}}"
    return bool(kubectl("--namespace", NAMESPACE, "get", "pod", pod, "--output", path).stdout)


def restarts(pod: str) -> int:
    return next(one.restarts for one in pods("backend") if one.name == pod)


def is_down_or_restarted(pod: str, before: int) -> bool:
    """The first time it is started again at once, later after a time that doubles."""
    return restarts(pod) > before or has_state(pod, "waiting")


def main_files() -> list[str]:
    read = ("--container", "backend", "--", "cat", "/app/app/main.py")
    return [kubectl("--namespace", NAMESPACE, "exec", pod.name, *read).stdout for pod in pods("backend")]


@contextmanager
def inotify_instances(most: int) -> Iterator[None]:
    """Let each user of this machine hold so many and no more."""
    before = INSTANCES.read_text()
    INSTANCES.write_text(str(most))
    try:
        yield
    finally:
        INSTANCES.write_text(before)
