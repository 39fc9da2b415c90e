"""When an application that has read what somebody was writing is started once more."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from warmfork.events import EventLoop
from warmfork.parent.starting import Starting

FILE, OTHER = Path("/app/main.py"), Path("/elsewhere/main.py")


class Timers(EventLoop):
    """Keeps the one action that is asked for, for the test to call."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.action: Callable[[], None] | None = None

    def call_later(self, key: object, seconds: float, action: Callable[[], None]) -> None:  # noqa: ARG002
        self.seconds, self.action = seconds, action

    def cancel(self, key: object) -> None:  # noqa: ARG002
        self.action = None

    def fire(self) -> None:
        """Let its time have come."""
        assert self.action
        self.action()


class Stage:
    """An application that is started again and again, and has no process but the one that was withdrawn."""

    def __init__(self) -> None:
        self.timers = Timers()
        self.withdrawn: list[Any] = []
        self.starts = 0
        children: Any = SimpleNamespace(
            withdraw=self.withdrawn.append, processes=SimpleNamespace(with_role=lambda *_: iter(()))
        )
        files: Any = SimpleNamespace(sources=SimpleNamespace(concerns=FILE.__eq__))
        nobody: Any = None
        self.starting = Starting(
            self.timers,
            children=children,
            handover=nobody,
            preparation=nobody,
            application=nobody,
            files=files,
            pending=nobody,
        )

    def once_more(self) -> bool:
        process: Any = object()
        return self.starting.once_more(process, self.start)

    def start(self) -> None:
        self.starts += 1


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_first_time_it_is_at_once(stage: Stage) -> None:
    assert stage.once_more()
    assert stage.timers.seconds == 0
    assert stage.starting.is_under_way
    stage.timers.fire()
    assert (stage.starts, len(stage.withdrawn)) == (1, 1)
    assert not stage.starting.is_under_way


def test_later_it_is_when_nothing_is_written(stage: Stage) -> None:
    stage.once_more()
    stage.timers.fire()
    stage.once_more()
    assert stage.timers.seconds > 0
    stage.timers.action = None
    stage.starting.note_written([OTHER])
    assert stage.timers.action is None
    stage.starting.note_written([OTHER, FILE])
    assert stage.timers.seconds > 0
    stage.timers.fire()
    assert stage.starts == 2
    # Nobody waits any more.
    stage.timers.action = None
    stage.starting.note_written([FILE])
    assert stage.timers.action is None


def test_somebody_who_goes_on_writing_is_not_waited_for(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.once_more()
    stage.timers.fire()
    stage.once_more()
    monkeypatch.setattr("time.monotonic", lambda: float("inf"))
    stage.starting.note_written([FILE])
    assert stage.timers.seconds < 0


def test_it_is_not_tried_for_ever(stage: Stage) -> None:
    tries = 0
    while stage.once_more():
        stage.timers.fire()
        tries += 1
        assert tries < 10
    assert stage.starts == len(stage.withdrawn) == tries


def test_new_change_is_not_kept_waiting(stage: Stage) -> None:
    stage.once_more()
    stage.starting.note_change()
    assert stage.timers.action is None
    assert not stage.starting.is_under_way
