"""A checkout with an application, a cluster without Kubernetes, and the program between them."""

import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fastlane.tests.cluster import Cluster
from fastlane.tests.program import FastLane
from fastlane.tests.replica import APPLICATION, Replica


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    # A socket's path may have 107 characters, and those of pytest are long.
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(Path(folder))
        yield cluster
        cluster.end()


@pytest.fixture
def app(tmp_path: Path) -> Path:
    folder = tmp_path / "backend" / "app"
    folder.mkdir(parents=True)
    (folder / "main.py").write_text("version = 1\n")
    return folder


@pytest.fixture
def start(app: Path, cluster: Cluster) -> Iterator[Callable[[], FastLane]]:
    runs: list[FastLane] = []

    def run() -> FastLane:
        runs.append(FastLane(app.parents[1], cluster.bin))
        return runs[-1]

    yield run
    for lane in runs:
        lane.signal(signal.SIGTERM)
        lane.await_end()


@pytest.fixture
def lane(start: Callable[[], FastLane]) -> FastLane:
    lane = start()
    lane.said("app: watched")
    lane.said("pods with .*: followed")
    return lane


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
