"""From a save to all pods."""

import base64
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from fastlane.tests.cluster import IMAGE, Cluster, Message, Pod, outcome, until
from fastlane.tests.program import FastLane


@pytest.fixture
def branches(app: Path) -> Path:
    """Make the checkout a repository, whose other branch has fifty modules more and another main.py."""
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    repository = app.parents[1]

    def git(*words: str) -> None:
        identity = ["-c", "user.name=A", "-c", "user.email=a@localhost"]
        subprocess.run(["git", *identity, *words], cwd=repository, check=True, capture_output=True, env=environment)

    git("init", "--initial-branch=one")
    git("add", ".")
    git("commit", "--message=one")
    git("checkout", "-b", "other")
    for number in range(50):
        (app / f"module_{number}.py").write_text(f"number = {number}\n")
    (app / "main.py").write_text("version = 2\n")
    git("add", ".")
    git("commit", "--message=other")
    git("checkout", "one")
    return repository


@pytest.fixture
def pods(lane: FastLane, cluster: Cluster) -> list[Pod]:
    """Return two replicas to which the lane is open, and which it has found to be equal."""
    pods = [cluster.add("backend-a"), cluster.add("backend-b")]
    for pod in pods:
        lane.said(f"{pod.name}: connected")
        pod.await_comparison()
    return pods


@pytest.mark.core
def test_a_save_reaches_all_pods(lane: FastLane, pods: list[Pod], app: Path) -> None:
    (app / "main.py").write_text("version = 2\n")
    lane.said(r"app/main\.py: 2 of 2 replicas in \d+ ms")
    assert [pod.batches for pod in pods] == [[[changed("main.py", "version = 2\n")]]] * 2


def test_what_git_writes_is_sent_when_it_has_ended(lane: FastLane, pods: list[Pod], app: Path) -> None:
    """After its last write nothing tells that, so the lock is looked at again."""
    lock = app.parents[1] / ".git" / "index.lock"
    lock.parent.mkdir()
    with lock.open("wb"):
        for version in (2, 3):
            (app / "main.py").write_text(f"version = {version}\n")
    lock.unlink()
    lane.said(r"app/main\.py: 2 of 2 replicas in \d+ ms")
    assert pods[0].batches[-1] == [changed("main.py", "version = 3\n")]


def test_a_file_that_replaces_another_is_a_save(lane: FastLane, pods: list[Pod], app: Path) -> None:
    (app / ".main.py.part").write_text("version = 2\n")
    (app / ".main.py.part").rename(app / "main.py")
    lane.said(r"app/main\.py: 2 of 2 replicas in \d+ ms")
    assert pods[0].batches == [[changed("main.py", "version = 2\n")]]


def test_files_of_every_type_are_sent(lane: FastLane, pods: list[Pod], app: Path) -> None:
    for number, name in enumerate((".env", "logo.svg", "README"), 1):
        (app / name).write_text(name)
        lane.said(rf"app/{name}: 2 of 2 .*")
        assert pods[0].batches[number - 1 :] == [[changed(name, name)]]


def test_equal_content_is_not_sent(lane: FastLane, pods: list[Pod], app: Path) -> None:
    (app / "main.py").write_text("version = 1\n")
    (app / "new.py").write_text("")
    lane.said(r"app/new\.py: 2 of 2 .*")
    (app / "new.py").write_text("")
    (app / "main.py").write_text("version = 2\n")
    lane.said(r"app/main\.py: 2 of 2 .*")
    assert pods[0].batches == [[changed("new.py", "")], [changed("main.py", "version = 2\n")]]


def test_a_content_that_comes_back_is_sent_again(lane: FastLane, pods: list[Pod], app: Path) -> None:
    for number, version in enumerate((2, 1, 2), 1):
        (app / "main.py").write_text(f"version = {version}\n")
        lane.said(r"app/main\.py: 2 of 2 .*", times=number)
    assert len(pods[0].batches) == 3


def test_a_deleted_file_is_deleted(lane: FastLane, pods: list[Pod], app: Path) -> None:
    (app / "main.py").unlink()
    lane.said(r"app/main\.py: 2 of 2 .*")
    assert pods[1].batches == [[deleted("main.py")]]


def test_a_renamed_file_is_one_change(lane: FastLane, pods: list[Pod], app: Path) -> None:
    (app / "main.py").rename(app / "core.py")
    lane.said(r"app/core\.py, app/main\.py: 2 of 2 .*")
    assert pods[0].batches == [[deleted("main.py"), changed("core.py", "version = 1\n")]]


def test_folders_come_and_go_with_their_files(lane: FastLane, pods: list[Pod], app: Path, tmp_path: Path) -> None:
    routers = tmp_path / "routers"
    (routers / "deep").mkdir(parents=True)
    for name in ("__init__.py", "todos.py", "deep/a.py", "deep/b.py"):
        (routers / name).write_text(f"# {name}\n")
    routers.rename(app / "routers")
    lane.said(r"app/routers/__init__\.py and 3 more: 2 of 2 .*")
    assert pods[0].files["/app/app/routers/deep/b.py"] == "# deep/b.py\n"
    (app / "routers" / "todos.py").write_text("# changed\n")
    lane.said(r"app/routers/todos\.py: 2 of 2 .*")
    (app / "routers").rename(routers)
    lane.said(r"app/routers/__init__\.py and 3 more: 2 of 2 .*", times=2)
    assert pods[0].files == IMAGE
    assert len(pods[0].batches) == 3


def test_a_module_that_becomes_a_package_goes_first(lane: FastLane, pods: list[Pod], app: Path) -> None:
    (app / "main").mkdir()
    (app / "main.py").rename(app / "main" / "__init__.py")
    lane.said(r"app/main/__init__\.py, app/main\.py: 2 of 2 .*")
    assert pods[0].batches == [[deleted("main.py"), changed("main/__init__.py", "version = 1\n")]]


def test_a_checkout_of_another_branch_is_one_change(branches: Path, lane: FastLane, pods: list[Pod], app: Path) -> None:
    subprocess.run(["git", "checkout", "--quiet", "other"], cwd=branches, check=True)
    lane.said(r"app/main\.py and 50 more: 2 of 2 .*")
    subprocess.run(["git", "checkout", "--quiet", "one"], cwd=branches, check=True)
    lane.said(r"app/main\.py and 50 more: 2 of 2 .*", times=2)
    assert [len(batch) for batch in pods[0].batches] == [51, 51]
    assert pods[0].files == {"/app/app/main.py": (app / "main.py").read_text()}


def test_what_tools_leave_behind_is_not_sent(lane: FastLane, pods: list[Pod], app: Path) -> None:
    (app / "__pycache__").mkdir()
    (app / ".cache").mkdir()
    for name in (".main.py.swp", "main.py~", "4913", "#main.py#", "__pycache__/main.pyc", ".cache/a", ".env.swp"):
        (app / name).write_text("left over")
        (app / name).unlink()
        (app / name).write_text("left over")
    (app / "main.py").write_text("version = 2\n")
    lane.said(r"app/main\.py: 2 of 2 .*")
    assert pods[0].batches == [[changed("main.py", "version = 2\n")]]


def test_what_cannot_be_sent_is_left_to_tilt(lane: FastLane, pods: list[Pod], app: Path) -> None:
    (app / "large.bin").write_bytes(bytes((1 << 20) + 1))
    lane.said(r"app/large\.bin: has more than 1 MiB; left to Tilt")
    os.mkfifo(app.parent / "pipe")
    (app.parent / "pipe").rename(app / "pipe")
    lane.said(r"app/pipe: is no regular file; left to Tilt")
    (app / "largest.bin").write_bytes(bytes(1 << 20))
    lane.said(r"app/largest\.bin: 2 of 2 .*")
    # One that was sent and no longer can be is not deleted either.
    (app / "main.py").write_bytes(bytes((1 << 20) + 1))
    lane.said(r"app/main\.py: has more than 1 MiB; left to Tilt")
    (app / "main.py").write_text("version = 1\n")
    lane.said(r"app/main\.py: 2 of 2 .*")
    assert pods[0].batches[1:] == [[changed("main.py", "version = 1\n")]]


def test_a_folder_that_is_replaced_is_watched_again(lane: FastLane, pods: list[Pod], app: Path, tmp_path: Path) -> None:
    (app / "old.py").write_text("")
    lane.said(r"app/old\.py: 2 of 2 .*")
    app.rename(tmp_path / "before")
    app.mkdir()
    (app / "main.py").write_text("version = 2\n")
    until(lambda: pods[0].files == {"/app/app/main.py": "version = 2\n"}, "the new folder's files alone are left")
    (app / "main.py").write_text("version = 3\n")
    until(lambda: pods[0].files == {"/app/app/main.py": "version = 3\n"}, "the new folder is watched")


def test_what_is_beside_the_folder_is_not_sent(lane: FastLane, pods: list[Pod], app: Path) -> None:
    (app.parent / "alembic.ini").write_text("")
    (app.parent / "other").mkdir()
    (app / "main.py").write_text("version = 2\n")
    lane.said(r"app/main\.py: 2 of 2 .*")
    assert pods[0].batches == [[changed("main.py", "version = 2\n")]]


def test_broken_code_is_told_with_its_cause(lane: FastLane, pods: list[Pod], app: Path) -> None:
    pods[0].answer = lambda request: outcome(request, "failed", "SyntaxError: invalid syntax (main.py, line 1)")
    (app / "main.py").write_text("version =\n")
    lane.said(r"app/main\.py: 1 of 2 replicas; backend-a: SyntaxError: invalid syntax \(main\.py, line 1\)")
    pods[1].answer = pods[0].answer
    (app / "main.py").write_text("version = =\n")
    lane.said(r"app/main\.py: 0 of 2 replicas; backend-a, backend-b: SyntaxError: invalid syntax \(main\.py, line 1\)")


def test_a_refusal_is_told_with_its_cause(lane: FastLane, pods: list[Pod], app: Path) -> None:
    pods[0].answer = lambda request: {"id": request["id"], "ok": False, "error": "refused: it is read-only"}
    (app / "main.py").write_text("version = 2\n")
    lane.said(r"app/main\.py: 1 of 2 replicas; backend-a: refused: it is read-only")


def test_a_save_does_not_wait_for_the_one_before(lane: FastLane, pods: list[Pod], app: Path) -> None:
    first: list[Message] = []

    def answer(request: Message) -> bytes | None:
        """Answer the first save only when the second has come."""
        if len(first) < len(pods):
            first.append(request)
            return None
        answers = [outcome(first[0], "superseded"), outcome(request, "reloaded")]
        return b"".join(json.dumps(answer).encode() + b"\n" for answer in answers)

    for pod in pods:
        pod.answer = answer
    (app / "main.py").write_text("version = 2\n")
    until(lambda: len(first) == len(pods), "the first save has come")
    (app / "main.py").write_text("version = 3\n")
    lane.said(r"app/main\.py: superseded by a newer save")
    lane.said(r"app/main\.py: 2 of 2 replicas in \d+ ms")


def test_without_pods_a_save_is_left_to_tilt(lane: FastLane, app: Path) -> None:
    (app / "main.py").write_text("version = 2\n")
    lane.said(r"app/main\.py: no replica runs, left to Tilt")


def changed(name: str, content: str) -> Message:
    return {"path": f"/app/app/{name}", "content": base64.b64encode(content.encode()).decode()}


def deleted(name: str) -> Message:
    return {"path": f"/app/app/{name}", "deleted": True}


def test_a_link_to_a_file_of_the_folder_is_carried_as_a_link(lane: FastLane, pods: list[Pod], app: Path) -> None:
    (app / "link.py").symlink_to("main.py")
    lane.said(r"app/link\.py: 2 of 2 .*")
    (app / "link.py").unlink()
    (app / "link.py").write_text("version = 1\n")
    lane.said(r"app/link\.py: 2 of 2 .*", times=2)
    assert pods[0].batches == [[{"path": "/app/app/link.py", "link": "main.py"}], [changed("link.py", "version = 1\n")]]


@pytest.mark.parametrize("is_there", (True, False), ids=("at the start", "later"))
def test_a_link_that_would_not_lead_to_the_same_in_pods_is_told(
    is_there: bool, app: Path, cluster: Cluster, start: Callable[[], FastLane]
) -> None:
    (app.parent / "shared.py").write_text("")
    (app / "folder").mkdir()
    links = {
        "outside.py": "../shared.py",
        "absolute.py": str(app / "main.py"),
        "none.py": "gone.py",
        "package": "folder",
    }
    reasons = {
        "outside.py": r"is a symbolic link to \.\./shared\.py, outside of app: pods do not have that",
        "absolute.py": r"is a symbolic link to /.*/main\.py, outside of app: pods do not have that",
        "none.py": r"is a symbolic link to gone\.py, which is not there",
        "package": r"is a symbolic link to a folder, which only a new image has \(tilt trigger backend\)",
    }
    lane = None if is_there else start()
    if lane:
        lane.said("app: watched")
    for name, target in links.items():
        (app / name).symlink_to(target)
    lane = lane or start()
    for name, reason in reasons.items():
        lane.said(rf"app/{name}: {reason}; left to Tilt")
    pod = cluster.add("backend-a")
    lane.said("backend-a: connected")
    pod.await_comparison()
    (app / "main.py").write_text("version = 2\n")
    lane.said(r"app/main\.py: 1 of 1 .*")
    assert pod.batches == [[changed("main.py", "version = 2\n")]]


def test_a_file_is_sent_when_it_is_no_longer_written(lane: FastLane, pods: list[Pod], app: Path) -> None:
    """Another save ends meanwhile, whose event says "look"."""
    with (app / "main.py").open("w") as writing:
        writing.write("version")
        writing.flush()
        (app / "main.py").open("a").close()
        (app / "other.py").write_text("")
        lane.said(r"app/other\.py: 2 of 2 .*")
        writing.write(" = 2\n")
    lane.said(r"app/main\.py: 2 of 2 .*")
    assert pods[0].batches == [[changed("other.py", "")], [changed("main.py", "version = 2\n")]]


def test_a_file_that_stays_open_for_writing_is_sent_as_it_is(lane: FastLane, pods: list[Pod], app: Path) -> None:
    with (app / "main.py").open("a") as writing:
        writing.write("# more\n")
        writing.flush()
        (app / "main.py").open("a").close()
        lane.said(r"app/main\.py: 2 of 2 .*")
    assert pods[0].batches == [[changed("main.py", "version = 1\n# more\n")]]


def test_a_name_that_is_no_text_is_delivered(lane: FastLane, pods: list[Pod], app: Path) -> None:
    name = os.fsdecode(b"caf\xe9.txt")
    (app / name).write_text("closed\n")
    lane.said(r"app/caf\\udce9\.txt: 2 of 2 .*")
    assert pods[0].batches == [[changed(name, "closed\n")]]
