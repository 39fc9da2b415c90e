"""What differs between the checkout and a pod is sent again, and only that."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fastlane import reconciler
from fastlane.tests.cluster import IMAGE, Cluster, Message, Pod, digest, outcome, until
from fastlane.tests.program import FastLane

# As the checkout has it.
MAIN = "version = 1\n"


@pytest.fixture
def pod(lane: FastLane, cluster: Cluster) -> Pod:
    """Return a replica that equals the checkout, and has been found to."""
    pod = cluster.add("backend-a")
    lane.said("backend-a: connected")
    pod.await_comparison()
    return pod


def tell(pod: Pod, *stale: str, **files: str | None) -> None:
    """Let somebody else change files of the pod, which tells it. Of names, two underscores stand for a dot."""
    told: dict[str, object] = {}
    for name, content in files.items():
        path = f"/app/app/{name.replace('__', '.')}"
        told[path] = None if content is None else digest(content)
        if content is None:
            pod.files.pop(path, None)
        else:
            pod.files[path] = content
    pod.tell({"event": "digests", "files": told, "stale": list(stale)})


def test_a_pod_that_differs_at_first_is_made_equal(start: Callable[[], FastLane], cluster: Cluster, app: Path) -> None:
    (app / "new.py").write_text("new = 1\n")
    (app / "page.html").write_text("<p>whole</p>\n")
    (app / "data.json").write_text("{}\n")
    files = {
        "main.py": "version = 0\n",
        "gone.py": "left over\n",
        "page.html": "<p>who",
        # The application may have written these itself.
        "data.json": '{"a": 1}\n',
        "app.log": "started\n",
        ".hidden.py": "a tool's\n",
    }
    pod = cluster.add("backend-a", {f"/app/app/{name}": content for name, content in files.items()})
    start().said(r"app/\w+\.\w+ and 3 more: differed in backend-a, sent again")
    assert pod.files == {
        "/app/app/main.py": MAIN,
        "/app/app/new.py": "new = 1\n",
        "/app/app/page.html": "<p>whole</p>\n",
        "/app/app/data.json": '{"a": 1}\n',
        "/app/app/app.log": "started\n",
        "/app/app/.hidden.py": "a tool's\n",
    }
    assert len(pod.batches) == 1


def test_an_equal_pod_gets_nothing(lane: FastLane, pod: Pod) -> None:
    before = pod.comparisons
    tell(pod, "/elsewhere", "/app/app", main__py=MAIN, unknown__txt="left to the application")
    until(lambda: pod.comparisons > before, "the folder that may have changed is compared")
    tell(pod, torn__py="nobody here has it")
    lane.said(r"app/torn\.py: differed in backend-a, sent again")
    assert pod.batches == [[{"path": "/app/app/torn.py", "deleted": True}]]


@pytest.mark.parametrize("content", ("versi", "", "version = 0\n", None), ids=("half", "empty", "older", "none"))
def test_what_somebody_else_changes_is_sent_again(content: str | None, lane: FastLane, pod: Pod) -> None:
    tell(pod, main__py=content)
    lane.said(r"app/main\.py: differed in backend-a, sent again")
    assert pod.files == IMAGE


def test_a_copy_that_is_under_way_is_waited_for(lane: FastLane, pod: Pod) -> None:
    """It unlinks, creates, and writes in parts."""
    for content in (None, "", "versi", MAIN):
        tell(pod, main__py=content)
    tell(pod, other__py="left over")
    lane.said(r"app/other\.py: differed in backend-a, sent again")
    assert len(pod.batches) == 1


def test_a_folder_that_is_gone_is_sent_again(lane: FastLane, cluster: Cluster, app: Path) -> None:
    (app / "routers").mkdir()
    image = dict(IMAGE)
    for name in ("a.py", "b.py"):
        (app / "routers" / name).write_text(name)
        image[f"/app/app/routers/{name}"] = name
    pod = cluster.add("backend-a", image)
    lane.said("backend-a: connected")
    until(lambda: pod.comparisons, "it is compared")
    pod.files = dict(IMAGE)
    tell(pod, routers=None)
    until(lambda: pod.files == image, "both files are there again")
    # In one line or in two.
    lane.said(r"app/routers/[ab]\.py(, app/routers/b\.py)?: differed in backend-a, sent again")


def test_pages_of_digests_are_put_together(lane: FastLane, cluster: Cluster) -> None:
    pod = cluster.add("backend-a", {})
    pod.pages = [
        {"files": {"/app/app/a.py": digest("left over")}, "more": True},
        {"files": {"/app/app/main.py": digest(MAIN)}, "more": False},
    ]
    lane.said(r"app/a\.py: differed in backend-a, sent again")
    assert pod.comparisons == 2
    assert pod.batches == [[{"path": "/app/app/a.py", "deleted": True}]]


def test_a_file_that_is_being_written_here_is_sent_at_its_end(lane: FastLane, pod: Pod, app: Path) -> None:
    with (app / "main.py").open("w") as writing:
        writing.write("version")
        writing.flush()
        tell(pod, main__py="version")
        tell(pod, other__py="left over")
        lane.said(r"app/other\.py: differed in backend-a, sent again")
        writing.write(" = 2\n")
    until(lambda: pod.files["/app/app/main.py"] == "version = 2\n", "the whole is sent")
    assert not any("versi" in str(batch) for batch in pod.batches)


def test_a_file_that_is_moved_away_and_written_anew_here_is_not_deleted(lane: FastLane, pod: Pod, app: Path) -> None:
    (app / "main.py").rename(app / "main.py~")
    tell(pod, main__py="half")
    (app / "main.py~").rename(app / "main.py")
    lane.said(r"app/main\.py: differed in backend-a, sent again")
    assert not any("deleted" in change for batch in pod.batches for change in batch)
    assert pod.files == IMAGE


def test_what_is_changed_again_and_again_is_left_alone_until_it_is_saved(lane: FastLane, pod: Pod, app: Path) -> None:
    def fight(request: Message) -> Message:
        tell(pod, main__py="version = 0\n")
        return outcome(request, "reloaded")

    pod.answer = fight
    tell(pod, main__py="version = 0\n")
    lane.said(
        r"app/main\.py: differed again in backend-a after each of 5 repairs; left to Tilt until it is saved again"
    )
    assert len(pod.batches) == 5
    pod.answer = lambda request: outcome(request, "reloaded")
    (app / "main.py").write_text("version = 2\n")
    lane.said(r"app/main\.py: 1 of 1 replicas in \d+ ms")
    tell(pod, main__py="half")
    lane.said(r"app/main\.py: differed in backend-a, sent again", times=6)
    assert pod.files["/app/app/main.py"] == "version = 2\n"


def test_a_refused_repair_is_told_and_tried_again(lane: FastLane, pod: Pod) -> None:
    pod.answer = lambda request: {"id": request["id"], "ok": False, "error": "refused: it is read-only"}
    tell(pod, main__py="half")
    lane.said(r"app/main\.py: differed in backend-a, but: refused: it is read-only")
    until(lambda: len(pod.batches) > 1, "it is tried again")
    pod.answer = lambda request: outcome(request, "failed", "NameError: name 'x' is not defined")
    lane.said(r"app/main\.py: differed in backend-a, sent again; NameError: name 'x' is not defined")


def test_a_refused_save_is_tried_again(lane: FastLane, pod: Pod, app: Path) -> None:
    pod.answer = lambda request: {"id": request["id"], "ok": False, "error": "refused: a folder has just gone"}
    (app / "main.py").write_text("version = 2\n")
    lane.said(r"app/main\.py: 0 of 1 replicas; backend-a: refused: a folder has just gone")
    pod.answer = lambda request: outcome(request, "reloaded")
    lane.said(r"app/main\.py: differed in backend-a, sent again")


def test_a_pod_that_cannot_tell_is_not_compared(lane: FastLane, cluster: Cluster) -> None:
    pod = cluster.add("backend-a")
    pod.pages = [{"ok": False, "error": "refused: /app/app is outside the reload directories"}]
    lane.said("backend-a: not compared: refused: /app/app is outside the reload directories")


def test_a_new_stream_begins_with_a_comparison(lane: FastLane, pod: Pod) -> None:
    pod.files["/app/app/main.py"] = "version = 0\n"
    pod.hang_up()
    lane.said(r"app/main\.py: differed in backend-a, sent again")
    assert pod.files == IMAGE


@pytest.mark.usefixtures("lane")
@pytest.mark.parametrize("files", (None, [], {"a": 1}, {"a": ["b", "c"]}, {"a": []}))
def test_nonsense_from_a_pod_ends_its_stream_only(files: object, pod: Pod) -> None:
    pod.tell({"event": "digests", "files": files})
    until(lambda: len(pod.greetings) == 2, "the stream is open again")
    assert pod.batches == []


def test_many_files_go_in_several_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciler, "_MOST_AT_ONCE", 10)
    news: dict[Path, bytes | None] = {Path("a"): b"1234567", Path("b"): b"1234567", Path("c"): None, Path("d"): b"123"}
    assert [list(map(str, portion)) for portion in reconciler._portions(news)] == [["a"], ["b", "c", "d"]]


def test_another_protocol_is_told_with_both_numbers(lane: FastLane, cluster: Cluster) -> None:
    pod = cluster.add("backend-a")
    pod.answer = lambda _: {"ok": False, "error": "refused: this is protocol 1"}
    pod.hang_up()
    lane.said(
        "backend-a: refused: this is protocol 1, the sender speaks 2; take both from one checkout; "
        "left to Tilt, trying again"
    )
