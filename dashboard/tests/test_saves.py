"""What becomes of a save, told by Tilt, the fast lane and the pods in any order."""

import itertools
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dashboard.logs import Line
from dashboard.saves import Saves, Syncs

CHECKOUT = Path("/checkout")
# Milliseconds since 1970.
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC).timestamp() * 1000
MAIN = "backend/app/main.py"
PODS = ("backend-a", "backend-b")


def at(offset: float) -> str:
    """Return a time in the API's notation, so many milliseconds after noon."""
    return datetime.fromtimestamp((NOON + offset) / 1000, UTC).isoformat(timespec="microseconds")


class Story:
    """Tells a timeline what happens, in milliseconds after noon."""

    def __init__(self) -> None:
        self.written: dict[Path, float] = {}
        self.saves = Saves(CHECKOUT, self.written.get)
        self._ids = itertools.count(1)
        self._events: dict[str, list[dict[str, Any]]] = {}
        self._history: dict[str, list[dict[str, Any]]] = {}
        self.saves.knows_syncs("backend", Syncs((CHECKOUT / "backend/app", CHECKOUT / "backend/migrations"), ()))
        self.saves.knows_syncs("frontend", Syncs((CHECKOUT / "frontend",), (CHECKOUT / "frontend/nginx.conf",)))

    def save(self, offset: float, *names: str, resource: str = "backend", seen: float = 205) -> None:
        """A person saves the files, and Tilt sees that."""
        self.written |= {CHECKOUT / name: NOON + offset for name in names}
        self.see(offset + seen, *names, resource=resource)

    def see(self, offset: float, *names: str, resource: str = "backend") -> None:
        events = self._events.setdefault(resource, [])
        events.append({"time": at(offset), "seenFiles": [str(CHECKOUT / name) for name in names]})
        annotations = {"tilt.dev/resource": resource}
        metadata = {"name": f"image:{resource}", "annotations": annotations}
        self.saves.watch({"metadata": metadata, "status": {"fileEvents": events[-20:]}})

    def update(self, began: float, ended: float, span: str, resource: str = "backend", error: str = "") -> None:
        """Tilt has copied or built."""
        entry = {"startTime": at(began), "finishTime": at(ended), "spanID": span}
        self._history.setdefault(resource, []).insert(0, entry | ({"error": error} if error else {}))
        self.record(ended, resource)

    def record(self, offset: float, resource: str = "backend", **status: Any) -> None:  # noqa: ANN401
        status = {
            "updateStatus": "ok",
            "runtimeStatus": "pending",
            "buildHistory": self._history.get(resource),
        } | status
        self.saves.record({"metadata": {"name": resource}, "status": status}, NOON + offset)

    def roll_out(self, offset: float, *created: float, resource: str = "backend", ready: bool = True) -> None:
        """The resource has pods that were created then."""
        pods = [{"createdAt": at(time), "phase": "Running", "containers": [{"ready": ready}]} for time in created]
        self.saves.roll_out(resource, pods, NOON + offset)

    def line(self, offset: float, text: str, pod: str = "", head: int | None = None) -> int:
        number = next(self._ids)
        resource = "backend" if pod else "fast-lane"
        self.saves.hear(Line(number, NOON + offset, resource, "runtime", "info", pod, text, head))
        return number

    def reloaded(self, offset: float, milliseconds: int, pod: str, name: str = "app/main.py") -> None:
        self.line(offset, f"warmfork: {name}: reloaded in {milliseconds} ms (standby)", pod)

    def settle(self, offset: float) -> None:
        self.saves.settle(NOON + offset, len(PODS))

    @property
    def told(self) -> list[dict[str, Any]]:
        return self.saves.changed_since(0)

    @property
    def only(self) -> dict[str, Any]:
        (save,) = self.told
        return save


@pytest.fixture
def story() -> Story:
    return Story()


def test_fast_lane_alone(story: Story) -> None:
    story.line(90, "fast lane: app/main.py: 2 of 2 replicas in 80 ms")
    assert story.only["action"] == "fast lane"
    assert (story.only["status"], story.only["served"], story.only["replicas"]) == ("served", 80.0, 2)


TOLD = {
    "tilt": lambda story: story.save(0, MAIN),
    "lane": lambda story: story.line(90, "fast lane: app/main.py: 2 of 2 replicas in 80 ms"),
    "pod a": lambda story: story.reloaded(70, 40, PODS[0]),
    "pod b": lambda story: story.reloaded(85, 60, PODS[1]),
}


@pytest.mark.parametrize("order", (("lane", "pod a", "pod b", "tilt"), ("tilt", "lane", "pod b", "pod a")))
def test_four_accounts_of_one_save(order: tuple[str, ...], story: Story) -> None:
    for name in order:
        TOLD[name](story)
    story.update(220, 420, "liveupdate:backend")
    assert story.only["files"] == [MAIN]
    assert (story.only["detect"], story.only["copy"], story.only["reload"]) == (10.0, 20.0, 60.0)
    assert (story.only["served"], story.only["status"]) == (90.0, "served")


def test_tilt_s_lane(story: Story) -> None:
    story.save(0, MAIN)
    story.update(215, 400, "liveupdate:backend")
    story.reloaded(380, 45, PODS[0])
    story.settle(390)
    assert story.only["status"] == "running"
    story.reloaded(450, 50, PODS[1])
    story.settle(460)
    save = story.only
    assert (save["action"], save["status"], save["served"]) == ("sync", "served", 450.0)
    assert (save["detect"], save["copy"], save["reload"]) == (205.0, 185.0, 50.0)


def test_page_s_file_is_served_once_it_is_copied(story: Story) -> None:
    story.save(0, "frontend/style.css", resource="frontend")
    story.update(215, 400, "liveupdate:frontend", "frontend")
    story.settle(410)
    assert (story.only["action"], story.only["served"], story.only["resource"]) == ("sync", 400.0, "frontend")


def test_two_watches_see_one_save(story: Story) -> None:
    story.save(0, "backend/migrations/env.py")
    story.save(0, "backend/migrations/env.py", resource="migrate", seen=209)
    assert story.only["resource"] == "backend, migrate"


def test_repeated_reports_count_once(story: Story) -> None:
    story.save(0, MAIN)
    story.save(2_000, MAIN)
    story.save(4_000, MAIN)
    assert [save["time"] - NOON for save in story.told] == [0, 2_000, 4_000]


def test_code_that_does_not_start(story: Story) -> None:
    story.save(0, MAIN)
    head = story.line(60, "warmfork: app/main.py: not reloaded, the old code serves on", PODS[0])
    story.line(60, '  File "/app/app/main.py", line 1', PODS[0], head)
    story.line(60, "SyntaxError: invalid syntax", PODS[0], head)
    story.settle(70_000)
    assert (story.only["status"], story.only["error"]) == ("failed", "SyntaxError: invalid syntax")
    assert story.saves.unserved() == {"backend": f"{MAIN} is not served: SyntaxError: invalid syntax"}


def test_failure_is_one_save_however_long_it_takes_to_be_told(story: Story) -> None:
    story.save(0, MAIN)
    story.update(215, 400, "liveupdate:backend")
    story.line(600, "fast lane: app/main.py: 0 of 2 replicas; backend-a, backend-b: NameError: name 'x' is not defined")
    assert (story.only["files"], story.only["status"]) == ([MAIN], "failed")


def test_failure_is_over_with_the_next_save_that_is_served(story: Story) -> None:
    story.line(90, "fast lane: app/main.py: 0 of 2 replicas; backend-a, backend-b: NameError: name 'x' is not defined")
    assert story.only["error"] == "NameError: name 'x' is not defined"
    assert story.saves.unserved() == {"backend": "app/main.py is not served: NameError: name 'x' is not defined"}
    story.line(5_090, "fast lane: app/main.py: 2 of 2 replicas in 80 ms")
    assert story.saves.unserved() == {}


def test_rebuild_that_was_to_be_expected(story: Story) -> None:
    story.save(0, "backend/requirements.txt")
    story.record(300, currentBuild={"startTime": at(300), "spanID": "build:7"}, updateStatus="in_progress")
    assert (story.only["action"], story.only["status"]) == ("rebuild", "running")
    story.roll_out(8_000, -60_000, -60_000)
    story.update(300, 9_300, "build:7")
    for pods, ready in (((-60_000, -60_000), True), ((-60_000, 10_000), True), ((10_000, 11_000), False)):
        story.roll_out(11_000, *pods, ready=ready)
        assert story.only["status"] == "running"
    story.roll_out(12_000, 10_000, 11_000)
    save = story.only
    assert (save["status"], save["served"], save["copy"], save["unexpected"]) == ("served", 12_000, 9_000, False)
    assert save["why"] == "backend/requirements.txt: no sync() covers it"


def test_save_is_served_when_the_last_of_its_resources_is_ready(story: Story) -> None:
    story.save(0, "backend/requirements.txt", resource="migrate")
    story.save(0, "backend/requirements.txt", resource="backend")
    story.roll_out(-10_000, -60_000)
    story.update(300, 1_300, "build:7", "migrate")
    assert story.only["status"] == "running"
    story.update(1_400, 9_300, "build:8")
    assert story.only["status"] == "running"
    story.roll_out(12_000, 11_000)
    assert (story.only["status"], story.only["served"]) == ("served", 12_000)
    assert story.only["why"] == "migrate is always built anew; backend/requirements.txt: no sync() covers it"


def test_unexpected_rebuild_names_the_file(story: Story) -> None:
    story.save(0, MAIN, "backend/notes.txt")
    story.update(300, 9_300, "build:7")
    assert story.only["unexpected"]
    assert story.only["why"] == "backend/notes.txt: no sync() covers it"


def test_rebuild_of_what_could_have_been_copied_is_unexpected(story: Story) -> None:
    story.save(0, MAIN)
    story.update(300, 9_300, "build:7")
    assert story.only["unexpected"]


def test_file_that_the_tiltfile_excepts(story: Story) -> None:
    story.save(0, "frontend/nginx.conf", resource="frontend")
    story.update(300, 9_300, "build:7", "frontend")
    assert (story.only["why"], story.only["unexpected"]) == ("frontend/nginx.conf: fall_back_on() names it", False)


def test_build_that_fails(story: Story) -> None:
    story.save(0, "backend/requirements.txt")
    story.update(300, 9_300, "build:7", error="failed to solve: no such package\nmore")
    assert (story.only["status"], story.only["error"]) == ("failed", "failed to solve: no such package")


def test_file_that_nothing_uses(story: Story) -> None:
    story.save(0, "backend/app/unused.py")
    story.settle(10_000)
    assert story.only["status"] == "running"
    story.settle(61_000)
    assert (story.only["action"], story.only["why"]) == ("none", "nothing that runs uses it")


def test_deleted_file_has_the_time_at_which_that_was_seen(story: Story) -> None:
    story.see(205, "backend/app/gone.py")
    assert story.only["time"] == NOON + 205


def test_requests_meanwhile_are_counted(story: Story) -> None:
    for offset, ok in ((-10, False), (10, True), (50, False), (1_080, True), (1_090, False)):
        story.saves.request(NOON + offset, ok=ok)
    story.line(80, "fast lane: app/main.py: 2 of 2 replicas in 80 ms")
    assert (story.only["requests"], story.only["failed"]) == (3, 1)


def test_figures_of_today(story: Story) -> None:
    for number in range(1, 21):
        story.line(10_000 * number, f"fast lane: app/main.py: 2 of 2 replicas in {10 * number} ms")
    story.save(500_000, "backend/requirements.txt")
    story.update(500_300, 509_300, "build:7")
    story.saves.request(NOON + 10_000, ok=False)
    story.saves.request(NOON + 300_000, ok=False)
    today = story.saves.today(datetime(2026, 3, 1, 23, 0, tzinfo=UTC))
    assert (today["count"], today["p50"], today["p95"]) == (21, 105.0, 190.5)
    assert (today["requests"], today["failed"], today["rebuilds"]) == (1, 1, 1)
    assert story.saves.today(datetime(2026, 3, 2, 1, 0, tzinfo=UTC))["count"] == 0


def test_only_what_has_changed_is_told(story: Story) -> None:
    story.save(0, MAIN)
    story.save(2_000, MAIN)
    revision = story.saves.revision
    story.update(2_300, 2_500, "liveupdate:backend")
    assert [save["id"] for save in story.saves.changed_since(revision)] == [2]
    assert story.saves.changed_since(story.saves.revision) == []
