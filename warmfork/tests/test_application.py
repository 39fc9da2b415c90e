"""What the parent knows of the application without asking one of its processes."""

from pathlib import Path

import pytest

from warmfork.parent.application import Application
from warmfork.snapshot.sources import Sources

BEFORE = "STEP = 1\n\n\ndef answer(number):\n    return number + STEP\n"


@pytest.mark.parametrize(
    ("after", "reason"),
    (
        (BEFORE.replace("+ STEP", "- STEP"), ""),
        (BEFORE.replace("STEP = 1", "STEP = 2"), "what the import executes has changed in line 1"),
        (BEFORE.replace("number", "count"), "the signature of answer has changed"),
        ("STEP = (", ""),
    ),
    ids=("body", "constant", "signature", "does not compile"),
)
def test_what_must_be_executed_whatever_has_run(after: str, reason: str, tmp_path: Path) -> None:
    sources, application, file = Sources([tmp_path], [], (), ()), Application("main:app"), tmp_path / "main.py"
    file.write_text(BEFORE)
    sources.refresh([file])
    source = sources.find(str(file))
    assert source
    application.record.digests[str(file)] = source.digest.hex()
    sources.settle()
    # What was saved between has not been served.
    for text in ("STEP = 3\n", after):
        file.write_text(text)
        sources.refresh([file])
    assert application.must_execute([str(file)], sources) == reason
