"""What a real Tilt said while a file was saved, broken, mended and a requirement changed; record.py made the record."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dashboard.cluster import Pods
from dashboard.model import Model, Settings
from dashboard.tilt import Tilt

RECORDING = Path(__file__).parent / "recording.jsonl"


class Replay:
    """A model that hears the record, at the times at which it was made."""

    def __init__(self) -> None:
        settings = Settings(Path("/checkout"), "todo", "http://localhost:8080", "", "backend", has_page=False)
        self.now = 0.0
        self.model = Model(settings, Tilt(0), Pods("nowhere", "todo", 8000), lambda: self.now)

    def events(self) -> Iterator[None]:
        """Take in one event after the other, and yield after each."""
        with RECORDING.open() as lines:
            for line in lines:
                self.now, kind, event, one = json.loads(line)
                if kind == "views":
                    self.model.take_view(one)
                else:
                    self.model.take_object(kind, event, one)
                self.model.saves.settle(self.now, 2)
                yield

    def run(self) -> Model:
        for _ in self.events():
            pass
        return self.model


@pytest.fixture(scope="module")
def model() -> Model:
    return Replay().run()


def saves(model: Model) -> list[dict[str, Any]]:
    return model.saves.changed_since(0)


@pytest.mark.core
def test_every_save_is_told(model: Model) -> None:
    told = [(save["files"], save["action"], save["status"]) for save in saves(model)]
    main, style = ["backend/app/main.py"], ["frontend/style.css"]
    assert told == [
        (main, "fast lane", "served"),
        (main, "sync", "failed"),
        (main, "fast lane", "served"),
        (style, "sync", "served"),
        (style, "sync", "served"),
        (["backend/requirements.txt"], "rebuild", "served"),
    ]


def test_reason_of_a_failure_is_the_exception(model: Model) -> None:
    assert saves(model)[1]["error"].startswith("SyntaxError: ")


def test_time_is_split(model: Model) -> None:
    code, style = saves(model)[2], saves(model)[3]
    assert code["replicas"] == 2
    assert code["copy"] + code["reload"] == code["served"] > 0
    assert 0 < style["copy"] <= style["served"]


def test_rebuild_is_explained_and_ends_with_the_last_new_pod(model: Model) -> None:
    rebuild = saves(model)[5]
    reasons = "migrate is always built anew; backend/requirements.txt: no sync() covers it"
    assert (rebuild["why"], rebuild["unexpected"]) == (reasons, False)
    assert rebuild["served"] > 20_000


def test_state_goes_through_what_happened() -> None:
    replay = Replay()
    seen: list[str] = []
    for _ in replay.events():
        overall = replay.model.state()["overall"]
        told = overall["status"] if overall["status"] != "error" else overall["text"].partition(" is not served")[0]
        if not seen or seen[-1] != told:
            seen.append(told)
    assert "backend: backend/app/main.py" in seen
    assert seen[-1] == "ok"
    assert set(seen) <= {"off", "busy", "ok", "backend: backend/app/main.py"}


def test_resources_at_the_end(model: Model) -> None:
    resources = {one["name"]: one for one in model.state()["resources"]}
    assert {name: one["status"] for name, one in resources.items()} == dict.fromkeys(resources, "ok")
    assert resources["backend"]["runtime"]["text"] == "2 of 2 pods ready"
    assert resources["migrate"]["runtime"]["text"] == "completed"
    assert {link["name"] for link in resources["backend"]["links"]} >= {"API", "logs"}


def test_lines_are_numbered_without_a_gap(model: Model) -> None:
    assert [line.id for line in model.logs.after(0)] == list(range(1, model.logs.last + 1))


def test_account_of_the_failure_is_folded_under_its_headline(model: Model) -> None:
    lines = model.logs.after(0)
    heads = [line.id for line in lines if "not reloaded" in line.text]
    assert heads
    for head in heads:
        folded = [line.text for line in lines if line.head == head]
        assert any(text.startswith("SyntaxError: ") for text in folded)
