from collections.abc import Iterator
from pathlib import Path

import pytest

from devenv.process import Log


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    log = Log(tmp_path / "log")
    yield log
    log.close()
