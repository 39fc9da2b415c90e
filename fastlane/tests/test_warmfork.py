"""The lane with real receivers: from a save here to the code that two replicas serve."""

import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from fastlane.tests.cluster import PATIENCE, Cluster, until
from fastlane.tests.program import PYTHON_PATH, FastLane
from tests.ports import reserved_port

APPLICATION = """\
from app.version import VERSION


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        for part in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{part}.complete"})
    else:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": str(VERSION).encode()})
"""


class Replica:
    """A warmfork that serves its own copy of the application."""

    def __init__(self, name: str, root: Path, cluster: Cluster) -> None:
        self.name = name
        self.package = root / "app" / "app"
        self.package.mkdir(parents=True, exist_ok=True)
        (self.package / "main.py").write_text(APPLICATION)
        (self.package / "version.py").write_text("VERSION = 1\n")
        (cluster.folder / f"{name}.root").write_text(str(root))
        self._reservation = ExitStack()
        self._port = self._reservation.enter_context(reserved_port())
        options = ["--port", str(self._port), "--reload-dir", "app", "--control", str(cluster.folder / name)]
        self._log = root / "log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "warmfork", "app.main:app", "--host", "127.0.0.1", *options],
                cwd=self.package.parent,
                env={"PATH": os.environ["PATH"], "PYTHONPATH": PYTHON_PATH},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until(lambda: self.serves("1"), "the first version is served", self._log)

    def serves(self, version: str) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        try:
            connection.request("GET", "/")
            return connection.getresponse().read().decode() == version
        except OSError:
            return False
        finally:
            connection.close()

    def end(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(PATIENCE)
        self._reservation.close()


@pytest.fixture
def replica(cluster: Cluster, app: Path, tmp_path: Path) -> Iterator[Callable[..., Replica]]:
    """Return what starts a replica and tells the cluster of it."""
    (app / "main.py").write_text(APPLICATION)
    (app / "version.py").write_text("VERSION = 1\n")
    running: list[Replica] = []

    def start(name: str, container: str = "containerd://1") -> Replica:
        running.append(Replica(name, tmp_path / name, cluster))
        cluster.announce(name, container=container)
        return running[-1]

    yield start
    for one in running:
        one.end()


@pytest.fixture
def replicas(replica: Callable[..., Replica], lane: FastLane) -> list[Replica]:
    replicas = [replica("backend-a"), replica("backend-b")]
    for one in replicas:
        lane.said(f"{one.name}: connected")
    return replicas


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
