"""One `make up` for all tests, in a copy of the working tree; each test's edits are taken back after it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live_update import migration
from tests.live_update.checkout import Edits
from tests.live_update.loop import Loop, running_in_copy


@pytest.fixture(scope="session", autouse=True)
def _umask() -> Iterator[None]:
    """Let nobody else read what a save makes, as in the rest of the checkout; another mode would be another image."""
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.fixture(scope="session")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    migration.forget_interrupted_run()
    with running_in_copy(tmp_path_factory.mktemp("live-update")) as loop:
        yield loop


@pytest.fixture
def edits(loop: Loop) -> Iterator[Edits]:
    with loop.edits() as edits:
        yield edits


@pytest.fixture
def checkout(loop: Loop) -> Path:
    return loop.checkout
