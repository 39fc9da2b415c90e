"""One `make up` for all tests, in a copy of the working tree; each test's edits are taken back after it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live_update import migration
from tests.live_update.checkout import Edits, copy_checkout
from tests.live_update.loop import BUILD, Loop


@pytest.fixture(scope="session")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    migration.forget_interrupted_run()
    loop = Loop(copy_checkout(tmp_path_factory.mktemp("live-update") / "checkout"))
    with loop.running():
        yield loop


@pytest.fixture
def edits(loop: Loop) -> Iterator[Edits]:
    edits = Edits(loop.checkout)
    yield edits
    edits.restore()
    loop.until("the application runs with the restored files", loop.is_settled, BUILD)


@pytest.fixture
def checkout(loop: Loop) -> Path:
    return loop.checkout
