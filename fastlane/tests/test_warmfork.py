"""The lane with real receivers: from a save here to the code that two replicas serve."""

import signal
from collections.abc import Callable
from pathlib import Path

from fastlane.tests.cluster import Cluster, until
from fastlane.tests.program import FastLane
from fastlane.tests.replica import APPLICATION, Replica


def test_saves_are_served_by_all_replicas(replicas: list[Replica], lane: FastLane, app: Path) -> None:
    for version in range(2, 12):
        (app / "version.py").write_text(f"VERSION = {version}\n")
        lane.said(r"app/version\.py: 2 of 2 replicas in \d+ ms", times=version - 1)
        assert [replica.serves(str(version)) for replica in replicas] == [True, True]


def test_broken_code_is_told_and_its_repair_served(replicas: list[Replica], lane: FastLane, app: Path) -> None:
    (app / "version.py").write_text("VERSION = (\n")
    lane.said(r"app/version\.py: 0 of 2 replicas; backend-a, backend-b: SyntaxError: .*")
    (app / "version.py").write_text("VERSION = nothing\n")
    lane.said(r"app/version\.py: 0 of 2 replicas; backend-a, backend-b: NameError: .*")
    assert [replica.serves("1") for replica in replicas] == [True, True]
    (app / "version.py").write_text("VERSION = 3\n")
    lane.said(r"app/version\.py: 2 of 2 replicas in \d+ ms")
    assert [replica.serves("3") for replica in replicas] == [True, True]


def test_files_come_and_go(replicas: list[Replica], lane: FastLane, app: Path) -> None:
    (app / "version.py").rename(app / "number.py")
    (app / "main.py").write_text(APPLICATION.replace("app.version", "app.number"))
    until(lambda: not any((replica.package / "version.py").exists() for replica in replicas), "the module is renamed")
    until(lambda: all(replica.serves("1") for replica in replicas), "its new name is used")
    (app / "number.py").write_text("VERSION = 2\n")
    lane.said(r"app/number\.py: 2 of 2 replicas in \d+ ms")
    assert [replica.serves("2") for replica in replicas] == [True, True]


def test_a_restarted_replica_is_reached_again(
    replicas: list[Replica], replica: Callable[..., Replica], lane: FastLane, cluster: Cluster, app: Path
) -> None:
    replicas[0].end()
    # Before it can be reached again, lest the stream that broke be opened anew.
    cluster.announce("backend-a", container="containerd://2")
    restarted = replica("backend-a", container="containerd://2")
    lane.said("backend-a: connected", times=2)
    (app / "version.py").write_text("VERSION = 2\n")
    lane.said(r"app/version\.py: 2 of 2 replicas in \d+ ms")
    assert restarted.serves("2")


def test_a_second_lane_waits_for_the_first_to_end(
    replicas: list[Replica], lane: FastLane, start: Callable[[], FastLane], app: Path
) -> None:
    second = start()
    for replica in replicas:
        second.said(f"{replica.name}: refused: another sender is connected; left to Tilt, trying again")
    (app / "version.py").write_text("VERSION = 2\n")
    lane.said(r"app/version\.py: 2 of 2 replicas in \d+ ms")
    second.said(r"app/version\.py: 0 of 2 replicas; backend-a, backend-b: refused: .*, left to Tilt")
    lane.signal(signal.SIGTERM)
    for replica in replicas:
        second.said(f"{replica.name}: connected")
    (app / "version.py").write_text("VERSION = 3\n")
    second.said(r"app/version\.py: 2 of 2 replicas in \d+ ms")
    assert [replica.serves("3") for replica in replicas] == [True, True]
