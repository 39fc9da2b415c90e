from pathlib import Path

import pytest

from devenv import paths
from devenv.failure import Failure
from devenv.process import Log
from devenv.progress import Step, run_steps


class Work:
    """Steps that note when they run, and may break."""

    def __init__(self) -> None:
        self.done: set[str] = set()
        self.broken: set[str] = set()
        self.ran: list[str] = []

    def step(self, name: str) -> Step:
        def run(_: Log) -> None:
            self.ran.append(name)
            if name in self.broken:
                raise Failure(name, "it is broken", "mend it")
            self.done.add(name)

        return Step(name, 1, lambda: name in self.done, run)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Work:
    monkeypatch.setattr(paths, "LOGS", tmp_path)
    return Work()


def test_only_open_steps_run_and_are_counted(work: Work, capsys: pytest.CaptureFixture[str]) -> None:
    work.done = {"first"}
    run_steps("Tools", [work.step("first"), work.step("second")])
    assert work.ran == ["second"]
    assert "[1/1] second" in capsys.readouterr().out


def test_nothing_is_said_when_nothing_is_left_to_do(work: Work, capsys: pytest.CaptureFixture[str]) -> None:
    work.done = {"first"}
    run_steps("Tools", [work.step("first")])
    assert capsys.readouterr().out == ""


def test_a_run_after_a_failure_goes_on_with_the_step_that_failed(work: Work) -> None:
    steps = [work.step("first"), work.step("second"), work.step("third")]
    work.broken = {"second"}
    with pytest.raises(Failure, match="it is broken"):
        run_steps("Tools", steps)
    work.broken = set()
    run_steps("Tools", steps)
    assert work.ran == ["first", "second", "second", "third"]
