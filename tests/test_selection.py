"""Which tests a change touches."""

import re
from pathlib import Path, PurePosixPath

import pytest

from tests import selection
from tests.selection import EVERYTHING, ROOT, USERS, touched


def touched_by(*changed: str) -> set[str]:
    return {str(path) for path in touched(PurePosixPath(name) for name in changed)}


@pytest.mark.core
@pytest.mark.parametrize(
    ("changed", "expected"),
    (
        ("backend/app/models.py", "backend/tests"),
        ("frontend/style.css", "frontend/tests"),
        ("k8s/base/backend/deployment.yaml", "tests/manifests"),
        ("k8s/components/smoke/smoke.py", "tests/smoke"),
        ("docker/backend.Dockerfile", "tests/manifests"),
        ("warmfork/pyproject.toml", "warmfork/tests"),
        ("warmfork/src/warmfork/parent/supervisor.py", "warmfork/tests/test_parent.py"),
        ("warmfork/src/warmfork/parent/supervisor.py", "fastlane/tests/test_warmfork.py"),
        # By imports alone.
        ("devenv/process.py", "bench/tests/test_report.py"),
        ("backend/dev/database.py", "tests/manifests/test_roles.py"),
        ("frontend/tests/fake_api.py", "frontend/tests/test_page.py"),
        # A test itself, what a whole folder's tests import, what they start or copy, and one that is gone.
        ("warmfork/tests/test_git.py", "warmfork/tests/test_git.py"),
        ("warmfork/tests/conftest.py", "warmfork/tests"),
        ("warmfork/tests/applications/tiny/main.py", "warmfork/tests"),
        ("dashboard/tests/recording.jsonl", "dashboard/tests"),
        ("backend/tests/test_of_the_past.py", "backend/tests"),
    ),
)
def test_is_touched(changed: str, expected: str) -> None:
    assert expected in touched_by(changed)


@pytest.mark.core
@pytest.mark.parametrize("changed", ("pyproject.toml", "requirements-dev.txt", "new/file.txt", "new/module.py"))
def test_what_cannot_be_told_touches_everything(changed: str) -> None:
    assert str(EVERYTHING) in touched_by(changed)


@pytest.mark.parametrize("changed", ("README.md", "backend/README.md", "Tiltfile", ".ci/run"))
def test_what_no_test_uses_touches_nothing(changed: str) -> None:
    assert touched_by(changed) == set()


def test_a_change_of_one_test_touches_no_other() -> None:
    assert touched_by("warmfork/tests/test_git.py") == {"warmfork/tests/test_git.py"}


def test_table_names_what_is_there() -> None:
    names = {*USERS, *(name for users in USERS.values() for name in users)}
    assert [name for name in sorted(names) if not (ROOT / name).exists()] == []


def test_of_warmfork_that_is_named_nowhere_runs_with_each_part(monkeypatch: pytest.MonkeyPatch) -> None:
    parser = "warmfork/src/warmfork/snapshot/statements.py"
    assert "warmfork/tests/test_tls.py" not in touched_by(parser)
    tables = {name: tuple(user for user in users if "tls" not in user) for name, users in USERS.items()}
    monkeypatch.setattr(selection, "USERS", tables)
    assert "warmfork/tests/test_tls.py" in touched_by(parser)


def test_every_folder_of_tests_has_a_core() -> None:
    """`make test` on a clean checkout runs each folder's main way."""
    listed = re.search(r"(?s)testpaths = \[(.*?)\]", (ROOT / "pyproject.toml").read_text())
    assert listed
    folders = [ROOT / name for name in re.findall(r'"(.+?)"', listed[1])]
    assert [folder for folder in folders if not has_core(folder)] == []


def has_core(path: Path) -> bool:
    files = [path] if path.is_file() else path.rglob("test_*.py")
    return any("pytest.mark.core" in file.read_text() for file in files)
