"""Pods come, go and misbehave; the lane goes on, and says little."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from fastlane.tests.cluster import KUBECTL, Cluster, obey, save, until
from fastlane.tests.program import FastLane


def test_pods_are_followed_as_they_come_and_go(lane: FastLane, cluster: Cluster, app: Path) -> None:
    cluster.add("backend-a")
    lane.said("backend-a: connected")
    newer = cluster.add("backend-b")
    lane.said("backend-b: connected")
    newer.await_comparison()
    cluster.remove("backend-a")
    until(lambda: len(lane.children()) == 2, "the watch and one stream are left")
    (app / "main.py").write_text("version = 2\n")
    lane.said(r"app/main\.py: 1 of 1 replicas in \d+ ms")
    assert len(newer.batches) == 1
    assert len(lane.lines) == 5


def test_a_pod_that_ends_gets_no_more_saves(lane: FastLane, cluster: Cluster, app: Path) -> None:
    pods = [cluster.add("backend-a"), cluster.add("backend-b")]
    for pod in pods:
        lane.said(f"{pod.name}: connected")
        pod.await_comparison()
    cluster.announce("backend-a", ending=True)
    until(lambda: len(lane.children()) == 2, "the watch and one stream are left")
    (app / "main.py").write_text("version = 2\n")
    lane.said(r"app/main\.py: 1 of 1 replicas in \d+ ms")
    assert [len(pod.batches) for pod in pods] == [0, 1]


def test_a_restarted_container_gets_a_new_stream(lane: FastLane, cluster: Cluster, app: Path) -> None:
    pod = cluster.add("backend-a")
    lane.said("backend-a: connected")
    cluster.announce("backend-a", container="containerd://2")
    lane.said("backend-a: connected", times=2)
    (app / "main.py").write_text("version = 2\n")
    lane.said(r"app/main\.py: 1 of 1 replicas in \d+ ms")
    assert len(pod.greetings) == 2


def test_pods_that_were_there_before_get_no_files(cluster: Cluster, start: Callable[[], FastLane]) -> None:
    pod = cluster.add("backend-a")
    lane = start()
    lane.said("backend-a: connected")
    cluster.announce("backend-a", container="containerd://2")
    lane.said("backend-a: connected", times=2)
    assert pod.batches == []


def test_changes_between_two_watches_are_seen(lane: FastLane, cluster: Cluster) -> None:
    cluster.add("backend-a")
    lane.said("backend-a: connected")
    cluster.stop_api()
    cluster.add("backend-b")
    cluster.remove("backend-a")
    cluster.start_api()
    lane.said("backend-b: connected")
    until(lambda: len(lane.children()) == 2, "the watch and one stream are left")


def test_a_new_watch_leaves_streams_alone(lane: FastLane, cluster: Cluster) -> None:
    pod = cluster.add("backend-a")
    lane.said("backend-a: connected")
    cluster.end_watch()
    until(lambda: cluster.listings == 2, "the pods were listed anew")
    cluster.end_watch()
    until(lambda: cluster.listings == 3, "the pods were listed anew")
    assert len(pod.greetings) == 1


def test_a_killed_kubectl_is_started_again(lane: FastLane, cluster: Cluster, app: Path) -> None:
    pod = cluster.add("backend-a")
    lane.said("backend-a: connected")
    for child in lane.children():
        os.kill(child, signal.SIGKILL)
    until(lambda: save(app / "main.py") and pod.batches, "a save arrives again")
    cluster.add("backend-b")
    lane.said("backend-b: connected")


def test_a_save_under_way_when_its_stream_ends_is_left_to_tilt(lane: FastLane, cluster: Cluster, app: Path) -> None:
    pod = cluster.add("backend-a")
    lane.said("backend-a: connected")
    pod.answer = lambda request: obey(request) if request["op"] == "hello" else pod.hang_up()
    (app / "main.py").write_text("version = 2\n")
    lane.said(r"app/main\.py: 0 of 1 replicas; backend-a: the connection ended, left to Tilt")


def test_another_senders_pod_is_left_to_it_in_one_line(lane: FastLane, cluster: Cluster, app: Path) -> None:
    taken, free = cluster.add("backend-a"), cluster.add("backend-b")
    lane.said("backend-a: connected")
    lane.said("backend-b: connected")
    free.await_comparison()
    refusal = {"ok": False, "error": "refused: another sender is connected"}
    taken.answer = lambda _: refusal
    taken.hang_up()
    lane.said("backend-a: refused: another sender is connected; left to Tilt, trying again")
    until(lambda: len(taken.greetings) >= 6, "it was tried again")
    (app / "main.py").write_text("version = 2\n")
    lane.said(r"app/main\.py: 1 of 2 replicas; backend-a: refused: another sender is connected, left to Tilt")
    assert len(free.batches) == 1
    assert len(lane.lines) == 6


def test_a_pod_without_warmfork_is_left_to_tilt_in_one_line(lane: FastLane, cluster: Cluster) -> None:
    cluster.announce("backend-a")
    lane.said(
        r"backend-a: .*backend-a: No such file or directory; is warmfork running with --control\?; left to Tilt.*"
    )
    cluster.add("backend-a")
    lane.said("backend-a: connected")
    assert len(lane.lines) == 4


def test_without_kubectl_everything_is_left_to_tilt_in_one_line(
    cluster: Cluster, start: Callable[[], FastLane], app: Path
) -> None:
    (cluster.bin / "kubectl").unlink()
    lane = start()
    lane.said("app: watched")
    lane.said(r"pods with .*: kubectl is not on PATH: make doctor tells what is missing; left to Tilt, trying again")
    (app / "main.py").write_text("version = 2\n")
    lane.said(r"app/main\.py: no replica runs, left to Tilt")


def test_without_permission_everything_is_left_to_tilt_in_one_line(
    cluster: Cluster, start: Callable[[], FastLane]
) -> None:
    cluster.replace_kubectl("import sys; sys.exit('Error from server (Forbidden): pods is forbidden')")
    lane = start()
    lane.said("app: watched")
    lane.said(r"pods with .*: Error from server \(Forbidden\): pods is forbidden; left to Tilt, trying again")
    cluster.replace_kubectl(KUBECTL.read_text())
    lane.said("pods with .*: followed")
    assert len(lane.lines) == 3


@pytest.mark.parametrize(
    "garbage",
    (
        b"what?\n",
        b"\xff\xfe\n",
        b"[]\n",
        b"{}\n",
        b'{"id": [], "ok": true}\n',
        b'{"id": 999999, "ok": true, "outcome": "reloaded"}\n',
        b"[" * 100_000 + b"\n",
        b"x" * (3 << 20) + b"\n",
    ),
    ids=["no JSON", "no text", "no object", "nothing", "no number", "no question", "depth", "length"],
)
def test_garbage_from_a_pod_ends_its_stream_only(garbage: bytes, lane: FastLane, cluster: Cluster, app: Path) -> None:
    sane, insane = cluster.add("backend-a"), cluster.add("backend-b")
    lane.said("backend-a: connected")
    lane.said("backend-b: connected")
    insane.answer = lambda request: obey(request) if request["op"] == "hello" else garbage
    (app / "main.py").write_text("version = 2\n")
    lane.said(r"app/main\.py: 1 of 2 replicas; backend-b: .*, left to Tilt")
    until(lambda: len(insane.greetings) == 2, "the stream is open again")
    assert len(sane.greetings) == 1
