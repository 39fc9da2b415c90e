"""A generated application has as many modules as asked for, all of which it imports, and shows every kind of edit."""

import json
import subprocess
import sys
from itertools import cycle
from pathlib import Path

import pytest

from bench.dependents import execution_times
from bench.generated.application import GeneratedApplication, Kind
from bench.saves import Mode
from bench.servers import read_version

LOOK = """
import json, sys
from fastapi.testclient import TestClient
from app.main import app

with TestClient(app) as client:
    shown = {path: client.get(path).text for path in sys.argv[1:]}
files = {getattr(module, "__file__", None) for name, module in sys.modules.items() if name.startswith("app")}
print(json.dumps([len(files - {None}), shown]))
"""


def look(application: GeneratedApplication) -> tuple[int, dict[str, str]]:
    """Return how many of its files are imported, and which version each address shows."""
    command = [sys.executable, "-W", "ignore", "-c", LOOK, *application.shown]
    output = subprocess.run(command, cwd=application.folder, capture_output=True, text=True, check=True).stdout
    count, shown = json.loads(output)
    return count, {path: read_version(text.encode()) for path, text in shown.items()}


@pytest.mark.parametrize("modules", (10, 101, 350))
def test_all_modules_are_imported(modules: int, tmp_path: Path) -> None:
    application = GeneratedApplication(tmp_path / "application", modules)
    assert look(application) == (modules, application.shown)


def files(folder: Path, seed: int) -> dict[Path, str]:
    """Make an application; return the text of each file."""
    GeneratedApplication(folder, 150, seed=seed)
    return {path.relative_to(folder): path.read_text() for path in folder.rglob("*.py")}


def test_the_same_number_and_seed_make_the_same_files(tmp_path: Path) -> None:
    first = files(tmp_path / "first", 1)
    assert len(first) == 150
    assert files(tmp_path / "second", 1) == first != files(tmp_path / "other", 2)


def test_every_kind_of_edit_is_shown_at_its_own_address(tmp_path: Path) -> None:
    application = GeneratedApplication(tmp_path / "application", 10, lifespan=0.01, imports=("import decimal",))
    for kind, mode in zip([*Kind, *Kind], cycle(Mode), strict=False):
        before = dict(application.shown)
        application.edit(kind).save(mode)
        assert [path for path, version in before.items() if application.shown[path] != version] == [
            application.address(kind)
        ]
    assert look(application)[1] == application.shown


def test_dependents_of_a_leaf_are_executed_again(tmp_path: Path) -> None:
    application = GeneratedApplication(tmp_path / "application", 101)
    assert application.leaf_dependents[-1] == "app.main"
    assert len(application.leaf_dependents) == 5
    assert all(took > 0 for took in execution_times(application.folder, application.leaf_dependents))
