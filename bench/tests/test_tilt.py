"""Tilt's own timestamps, as its API prints them, and what is made of them."""

import json
from pathlib import Path

import pytest

from bench import tilt
from bench.breakdown import Reload, parse_log, slowest_reload
from bench.tilt import Copy, copy_after, find_event, find_update, read_time

SAVED = read_time("2026-11-23T10:00:00.000000Z")
FILE = "app/routers/todos.py"


def update(start: str, finish: str | None, kind: str = "liveupdate") -> dict[str, str]:
    entry = {"spanID": f"{kind}:backend:7", "startTime": f"2026-11-23T{start}Z"}
    return entry | ({"finishTime": f"2026-11-23T{finish}Z"} if finish else {})


def watch(*events: tuple[str, str]) -> dict[str, object]:
    return {"status": {"fileEvents": [{"time": f"2026-11-23T{time}Z", "seenFiles": [file]} for time, file in events]}}


def test_the_first_live_update_after_the_save_is_taken() -> None:
    history = [
        update("10:00:02.000000", "10:00:02.500000"),
        update("10:00:00.250000", "10:00:00.350000"),
        update("10:00:00.100000", "10:00:09.000000", kind="build"),
        update("09:59:58.000000", "09:59:58.100000"),
    ]
    assert find_update(history, SAVED) == (SAVED + 0.25, SAVED + 0.35)


def test_a_live_update_under_way_is_none_yet() -> None:
    assert find_update([update("10:00:00.250000", None)], SAVED) is None


def test_the_first_event_with_the_file_after_the_save_is_taken() -> None:
    before, after = ("09:59:59.000000", f"/checkout/backend/{FILE}"), ("10:00:00.210000", f"/checkout/backend/{FILE}")
    other = ("10:00:00.100000", "/checkout/frontend/app.js")
    later = ("10:00:00.220000", f"/checkout/backend/{FILE}")
    assert find_event([watch(before, later), {"status": {}}, watch(other, after)], FILE, SAVED) == SAVED + 0.21
    assert find_event([watch(before, other)], FILE, SAVED) is None


def test_a_time_has_microseconds() -> None:
    assert read_time("2026-11-23T10:00:00.000123456Z") - SAVED == pytest.approx(0.000123, abs=1e-6)


def test_tilt_is_asked_until_it_has_recorded_the_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {
        "uiresource": {"status": {"buildHistory": [update("10:00:00.250000", "10:00:00.350000")]}},
        "filewatch": {"items": [watch(("10:00:00.210000", f"/checkout/backend/{FILE}"))]},
    }
    for name, answer in answers.items():
        (tmp_path / name).write_text(json.dumps(answer))
    fake = tmp_path / "tilt"
    # Fails the first time that it is asked.
    fake.write_text(f'#!/bin/sh\ncd {tmp_path} && [ -e asked ] || {{ touch asked; exit 1; }}\ncat "$2"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert copy_after(SAVED, FILE) == Copy(SAVED + 0.21, SAVED + 0.25, SAVED + 0.35)


def test_what_tilt_does_not_record_is_not_made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "tilt"
    fake.write_text("#!/bin/sh\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(tilt, "PATIENCE", 0.2)
    assert copy_after(SAVED, FILE) is None


LOG = """\
2026-11-23T09:59:59.000000001Z warmfork: serving app.main:app on http://0.0.0.0:8000 (started in 812 ms)
2026-11-23T10:00:00.400000001Z warmfork: app/routers/todos.py: reloaded in 47 ms (standby)
2026-11-23T10:00:00.500000001Z GET /version 200 in 1.0 ms
2026-11-23T10:00:01.400000001Z warmfork: app/main.py, app/models.py: reloaded in 101 ms
2026-11-23T10:00:02.400000001Z warmfork: app/main.py: not reloaded, the old code serves on
"""


def test_reloads_are_read_from_the_log() -> None:
    assert [(round(reload.moment - SAVED, 3), reload.milliseconds) for reload in parse_log(LOG)] == [
        (0.4, 47),
        (1.4, 101),
    ]


def test_the_slowest_replica_counts() -> None:
    one, two = [Reload(5, 40), Reload(7, 99), Reload(15, 50)], [Reload(6, 60), Reload(25, 70)]
    assert slowest_reload([one, two], 4, 10) == 60
    assert slowest_reload([one, two], 14, 20) is None
    assert slowest_reload([], 4, 10) is None
