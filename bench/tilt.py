"""What Tilt itself recorded about a save: when it saw it, and when it copied it into the pods."""

import json
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

# Seconds that Tilt may take to record a copy.
PATIENCE = 10


@dataclass(frozen=True)
class Copy:
    """One live update, in seconds since 1970: the end of Tilt's debounce, the start and the end of the copying."""

    seen: float
    began: float
    ended: float


def copy_after(saved: float, file: str) -> Copy | None:
    """Wait for the live update of the backend that a save led to; None when Tilt records none in time.

    saved: seconds since 1970. file: the end of the path that was saved.
    """
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        history = (_get("uiresource", "backend") or {}).get("status", {}).get("buildHistory") or []
        update = find_update(history, saved)
        if update is not None:
            watches = (_get("filewatch") or {}).get("items", [])
            seen = find_event(watches, file, saved)
            return None if seen is None else Copy(seen, *update)
        time.sleep(0.1)
    return None


def find_update(history: Iterable[Mapping[str, Any]], saved: float) -> tuple[float, float] | None:
    """Return start and end of the first live update that began after the save and has ended."""
    updates = [
        (read_time(entry["startTime"]), read_time(entry["finishTime"]))
        for entry in history
        if entry.get("spanID", "").startswith("liveupdate:") and entry.get("startTime") and entry.get("finishTime")
    ]
    return min((update for update in updates if update[0] > saved), default=None)


def find_event(watches: Iterable[Mapping[str, Any]], file: str, saved: float) -> float | None:
    """Return when a file watch first reported the file after the save."""
    events = [event for watch in watches for event in watch.get("status", {}).get("fileEvents") or []]
    times = [
        read_time(event["time"])
        for event in events
        if any(seen.endswith(file) for seen in event.get("seenFiles") or [])
    ]
    return min((seen for seen in times if seen > saved), default=None)


def read_time(text: str) -> float:
    """Return seconds since 1970 of a time in the API's notation."""
    return datetime.fromisoformat(text).timestamp()


def _get(*what: str) -> dict[str, Any] | None:
    """Return None when Tilt does not answer, as while it starts."""
    command = ["tilt", "get", *what, "--output", "json"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    if result.returncode:
        return None
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer
