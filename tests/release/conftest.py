from pathlib import Path

import pytest

from tests.release import internet


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("release")


@pytest.fixture(scope="session")
def served(folder: Path) -> internet.Internet:
    (folder / "internet").mkdir()
    return internet.build(folder / "internet")
