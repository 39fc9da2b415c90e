"""A run from its start to its end."""

import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from fastlane.tests.cluster import PATIENCE, Cluster, until
from fastlane.tests.program import COMMAND, PYTHON_PATH, FastLane


@pytest.mark.parametrize("number", (signal.SIGTERM, signal.SIGINT))
def test_it_ends_without_an_error_and_leaves_nothing_behind(
    number: signal.Signals, cluster: Cluster, app: Path
) -> None:
    lane = FastLane(app.parents[1], cluster.bin)
    cluster.add("backend-a")
    lane.said("backend-a: connected")
    cluster.announce("backend-b")
    children = lane.children()
    assert len(children) >= 2
    lane.signal(number)
    lane.await_end()
    assert [child for child in children if Path(f"/proc/{child}").exists()] == []


def test_it_ends_when_tilt_was_killed(cluster: Cluster, app: Path) -> None:
    ours, its = os.pipe()
    process = subprocess.Popen(
        COMMAND,
        cwd=app.parents[1],
        env={"PATH": str(cluster.bin), "PYTHONPATH": PYTHON_PATH},
        stdin=subprocess.DEVNULL,
        stdout=its,
    )
    os.close(its)
    with os.fdopen(ours, "rb") as output:
        assert output.readline() == b"fast lane: app: watched\n"
    assert process.wait(PATIENCE) == 0


def test_each_run_has_a_token_of_its_own_that_no_process_list_shows(
    cluster: Cluster, start: Callable[[], FastLane]
) -> None:
    pods = [cluster.add("backend-a"), cluster.add("backend-b")]
    tokens = []
    for number in (1, 2):
        lane = start()
        until(lambda: [len(pod.greetings) for pod in pods] == [number, number], "both pods were greeted")  # noqa: B023
        (token,) = {pod.greetings[-1]["token"] for pod in pods}
        assert re.fullmatch("[0-9a-f]{64}", token)
        for process in (lane.pid, *lane.children()):
            for file in ("cmdline", "environ"):
                assert token.encode() not in Path(f"/proc/{process}/{file}").read_bytes()
        tokens.append(token)
    assert tokens[0] != tokens[1]


@pytest.mark.parametrize(
    ("sync", "message"),
    (
        ("backend/app", "backend/app is not HERE=THERE"),
        ("backend/app=app", "backend/app=app is not HERE=THERE"),
        ("backend/none=/app/app", "backend/none is no folder"),
    ),
)
def test_a_wrong_sync_is_named(sync: str, message: str, app: Path) -> None:
    command = [sync if word == "backend/app=/app/app" else word for word in COMMAND]
    result = subprocess.run(
        command, cwd=app.parents[1], env={"PYTHONPATH": PYTHON_PATH}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert message in result.stderr
