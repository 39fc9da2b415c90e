from collections.abc import Iterator
from pathlib import Path

import pytest

from devenv.process import Log


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    log = Log(tmp_path / "log")
    yield log
    log.close()


@pytest.fixture(autouse=True)
def _outside_of_a_workflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let failures that are meant not stand on the page of the run that has these tests run."""
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
