"""`make up` as nearly everybody runs it: released tools and images, on a machine that has neither."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.live_update.checkout import Edits, copy_checkout
from tests.release.internet import Internet
from tests.release.machine import Machine

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

START, STOP = 900, 120  # seconds
PAGE = "http://localhost:8080"


@pytest.fixture(scope="module")
def machine(folder: Path, served: Internet) -> Iterator[Machine]:
    with Machine(folder / "machine", served) as machine:
        yield machine


@pytest.fixture(scope="module")
def checkout(machine: Machine, served: Internet) -> Path:
    return served.checkout(machine.home / "todo")


def test_file_that_is_not_the_pinned_one_is_refused(machine: Machine, served: Internet) -> None:
    """As the pins are: what the stand-in internet sends is another file."""
    checkout = copy_checkout(machine.home / "unpinned")
    result = machine.run("make", "up", cwd=checkout, timeout=START)
    assert result.returncode, result.stdout
    assert f"its sha256 is {served.sha256['kind']}, not the pinned" in result.stdout
    assert list((machine.home / ".cache/todo-devenv/bin").iterdir()) == []
    shutil.rmtree(checkout)


def test_loop_runs_from_released_parts(machine: Machine, checkout: Path) -> None:
    with up(machine, checkout):
        todo = ask(machine, "/api/todos/", '{"title": "from the first start"}')
        assert todo["title"] == "from the first start"
        edits = Edits(checkout)
        edits.replace("backend/app/main.py", 'title="Todo API"', 'title="Saved"')
        machine.until("the save is served", lambda: ask(machine, "/api/openapi.json")["info"]["title"] == "Saved", 60)
        edits.restore()
    assert (machine.home / ".local/state/todo-devenv/source").read_text() == "release"
    assert not (machine.home / ".cache/todo-devenv/go").exists()
    machine.make("ci", checkout)
    machine.make("down", checkout)
    with up(machine, checkout):
        assert ask(machine, f"/api/todos/{todo['id']}")["title"] == "from the first start"
    machine.make("down", checkout)


def test_cluster_comes_through_a_proxy_and_without_ipv6(folder: Path, served: Internet) -> None:
    """Tools, the node and the images that it pulls; what is on the machine itself is asked directly."""
    with Machine(folder / "behind-proxy", served, behind_proxy=True) as machine:
        switched = machine.run("sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6")
        assert not switched.returncode, switched.stdout
        machine.make("ci", served.checkout(machine.home / "todo"))


@contextmanager
def up(machine: Machine, checkout: Path) -> Iterator[None]:
    """Run `make up` from when the page answers to Ctrl-C."""
    log = checkout.with_suffix(".log")
    process = machine.start("make", "up", cwd=checkout, log=log)

    def answers() -> bool:
        if process.poll() is not None:
            raise AssertionError(f"make up ended: {log.read_text()[-3_000:]}")
        return machine.run("curl", "--fail", "--silent", f"{PAGE}/api/todos/").returncode == 0

    try:
        machine.until("the page and the API answer", answers, START)
        yield
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        process.wait(STOP)


def ask(machine: Machine, path: str, body: str = "") -> dict[str, Any]:
    """Return what the page's address answers."""
    data = ["--json", body] if body else []
    answer: dict[str, Any] = json.loads(machine.run("curl", "--silent", f"{PAGE}{path}", *data).stdout)
    return answer
