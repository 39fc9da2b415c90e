"""The probe tells when a folder and a server's answer became what they should be, and if they were lost again."""

import json
import sys
import threading
import time
from pathlib import Path

from bench.equality import PROGRAM
from bench.folder_probe import folder_digest
from bench.pods import Observer
from bench.tests.replica import Replica, serving


def observer(replica: Replica, folder: Path) -> Observer:
    return Observer("replica", [sys.executable, "-c", PROGRAM, str(replica.server_port), "/parts", str(folder)])


def answer(replica: Replica, code: str) -> dict[str, str]:
    return {"code": code, "pod": str(replica.server_port)}


def test_tells_when_files_and_answer_became_right(tmp_path: Path) -> None:
    with serving(lambda: "old") as replica, observer(replica, tmp_path) as probe:
        (tmp_path / "module.py").write_text("VALUE = 1\n")
        expected = folder_digest(str(tmp_path))
        (tmp_path / "module.py").write_text("VALUE")
        probe.order(30, files=expected, answer=answer(replica, "new"), watched=0)
        files_written = time.monotonic()
        (tmp_path / "module.py").write_text("VALUE = 1\n")
        assert replica.asked.wait(30)
        code_changed = time.monotonic()
        replica.code = "new".__str__
        result = probe.result()
    assert files_written < result["equal"] < result["served"]
    assert code_changed < result["served"] < time.monotonic()
    assert (result["differed"], result["reverted"], result["found"]) == (None, None, None)


def test_tells_what_is_wrong_in_the_end(tmp_path: Path) -> None:
    with serving(lambda: "old") as replica, observer(replica, tmp_path) as probe:
        probe.order(0.1, files="other", answer=answer(replica, "new"), watched=0)
        found = {"files": folder_digest(str(tmp_path)), "answer": answer(replica, "old")}
        never = dict.fromkeys(("equal", "served", "differed", "reverted"))
        assert probe.result() == {**never, "found": found}


def test_tells_that_the_answer_was_old_again(tmp_path: Path) -> None:
    """The answer is lost for as long as the probe needs to see it, and comes back."""
    seen = threading.Event()
    codes = ["new", "old"]

    def code() -> str:
        if len(codes) == 1:
            seen.set()
        return codes.pop(0) if codes else "new"

    with serving(code) as replica, observer(replica, tmp_path) as probe:
        probe.order(30, files=folder_digest(str(tmp_path)), answer=answer(replica, "new"), watched=0.5)
        result = probe.result()
    assert seen.is_set()
    assert result["served"] < result["reverted"]
    assert result["differed"] is None
    assert result["found"] is None


def test_digest_goes_by_names_and_contents_of_what_is_not_hidden(tmp_path: Path) -> None:
    digests = [folder_digest(str(tmp_path))]
    for name, text in (("a.py", "1"), ("a.py", "2"), ("data.json", "{}"), ("b/c.py", "")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
        digests.append(folder_digest(str(tmp_path)))
    assert len(set(digests)) == len(digests)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_text("")
    (tmp_path / ".a.py.draft").write_text("")
    assert folder_digest(str(tmp_path)) == digests[-1]


def test_orders_are_lines_of_json(tmp_path: Path) -> None:
    with serving(lambda: "new") as replica, observer(replica, tmp_path) as probe:
        for _ in range(2):
            probe.order(30, files=folder_digest(str(tmp_path)), answer=answer(replica, "new"), watched=0)
            assert json.dumps(probe.result()["found"]) == "null"
