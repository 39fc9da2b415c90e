"""A file that is read while another tool is writing it."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from warmfork.control import Control, Outcome
from warmfork.watcher import Watcher


class IdleReloader:
    """A supervisor that only listens."""

    def reload(self, paths: set[Path], answer: Callable[[Outcome], None]) -> None:
        answer(Outcome("reloaded" if paths else "unchanged"))

    def describe(self) -> dict[str, Any]:
        return {}

    def watch(self, descriptor: int, ready: Callable[[], None]) -> None:
        pass

    def unwatch(self, descriptor: int) -> None:
        pass


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "app" / "version.py"
    file.parent.mkdir()
    file.write_text("VERSION = 0\n")
    return file


@pytest.fixture
def watcher(file: Path) -> Watcher:
    return Watcher([file.parent])


def test_watcher_tells_the_end_of_it(file: Path, watcher: Watcher) -> None:
    other = file.with_name("other.py")
    with file.open("w") as writing:
        other.write_text("OTHER = 0\n")
        assert watcher.is_being_written(file)
        assert not watcher.is_being_written(other)
        assert watcher.has_more
        assert watcher.read() == {other}
        assert not watcher.has_more
        writing.write("VERSION = 1\n")
    assert not watcher.is_being_written(file)
    assert watcher.read() == {file}
    assert watcher.read() == set()


def test_half_of_an_older_content_is_not_taken_for_a_newer_one(tmp_path: Path, file: Path, watcher: Watcher) -> None:
    """The event that says "look" may be that of the save before."""
    control = Control(tmp_path / "control.sock", [file.parent], IdleReloader())
    for number in (1, 2):
        content = base64.b64encode(f"VERSION = {number}\n".encode()).decode()
        control.apply([{"path": str(file), "content": content}], lambda _: None)
    saved = watcher.read()
    assert file in saved
    with file.open("w") as writing:
        control.put_back(saved, watcher.is_being_written)
        writing.write("VERSION = 1\n")
    control.put_back(watcher.read(), watcher.is_being_written)
    assert file.read_text() == "VERSION = 2\n"
    control.close()
