"""What the random edits make is an application that answers as expected; what is told of them is what was seen."""

import json
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from app.version import source_digest
from bench.edits import columns, summarise
from bench.equality import Look, Outcome
from bench.folder_probe import folder_digest
from tests.live_update.developer import KINDS, Developer

MAIN = "from fastapi import APIRouter\n\napp = APIRouter()\n"
# Stands in for the real one, whose import takes a second.
FASTAPI = """
class APIRouter:
    def get(self, path):
        return lambda function: function

    def include_router(self, router):
        pass


class Request:
    pass
"""
IMPORT = "import json; from app import main, parts; print(json.dumps(parts.VALUES))"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    app = tmp_path / "backend" / "app"
    app.mkdir(parents=True)
    (app / "__init__.py").touch()
    (app / "main.py").write_text(MAIN)
    (app.parent / "fastapi.py").write_text(FASTAPI)
    return tmp_path


def values(checkout: Path) -> object:
    command = [sys.executable, "-B", "-c", IMPORT]
    result = subprocess.run(command, cwd=checkout / "backend", capture_output=True, text=True, check=True)
    return json.loads(result.stdout)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_edit_ends_with_an_application_that_works(checkout: Path, kind: str) -> None:
    random = Random(1)  # noqa: S311 - the same edits each time
    with Developer.at_work(checkout, random) as developer:
        before = developer.expected()
        # Twice: a branch that is left, a folder that is away come back.
        for _ in range(2):
            developer.edit(kind)
            expected = developer.expected()
            assert expected != before
            assert expected.answer["values"] == values(checkout)
            assert expected.answer["code"] == source_digest(checkout / "backend" / "app")
            assert expected.files == folder_digest(str(checkout / "backend" / "app"))
            before = expected
    assert (checkout / "backend" / "app" / "main.py").read_text() == MAIN
    assert not (checkout / "backend" / "app" / "parts").exists()
    assert not (checkout / ".git").exists()


def test_same_seed_gives_same_edits(checkout: Path) -> None:
    def day() -> list[object]:
        random = Random(7)  # noqa: S311 - the same edits each time
        with Developer.at_work(checkout, random) as developer:
            states = []
            for _ in range(4):
                developer.edit(random.choice(list(KINDS)))
                states.append(developer.expected())
        return list(states)

    assert day() == day()


def test_slowest_replica_counts() -> None:
    outcome = Outcome(10.0, [Look("one", 10.1, 10.2, None, None, None), Look("two", 10.25, 10.5, 12.0, 11.0, None)])
    assert (outcome.equal, outcome.served, outcome.differed, outcome.reverted) == (250, 500, 2000, 1000)
    assert not outcome.is_wrong


def test_a_replica_that_never_became_equal_is_wrong() -> None:
    wrong = Look("two", None, None, None, None, {"files": "", "answer": None})
    outcome = Outcome(10.0, [Look("one", 10.1, 10.2, None, None, None), wrong])
    assert (outcome.equal, outcome.served, outcome.differed, outcome.reverted) == (None, None, None, None)
    assert outcome.is_wrong
    row = {
        "part": "all-fast",
        "seed": "1",
        "busy": "1",
        **{name: str(value) for name, value in columns(outcome).items()},
    }
    assert "never" in summarise([row])
