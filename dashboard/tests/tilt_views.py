"""Messages of Tilt's log stream, as a Tilt that keeps so many segments would send them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@dataclass
class LogStore:
    """Tilt's side: numbers what is logged, forgets the oldest, sends what a client has not got yet."""

    session: str = START.isoformat()
    keeps: int = 1_000
    total: int = 0
    segments: list[dict[str, Any]] = field(default_factory=list)
    resources: dict[str, str] = field(default_factory=dict)

    def log(self, resource: str, text: str, span: str = "", level: str = "INFO", **fields: str) -> None:
        """Log a piece of text, a line if it ends like one."""
        span = span or f"pod:{resource}:{resource}-1"
        self.resources[span] = resource
        time = (START + timedelta(milliseconds=10 * self.total)).isoformat(timespec="microseconds")
        segment = {"spanId": span, "time": time, "text": text, "level": level}
        self.segments.append(segment | ({"fields": fields} if fields else {}))
        self.total += 1
        self.segments = self.segments[-self.keeps :]

    def lines(self, resource: str, *texts: str, **options: str) -> None:
        """Log whole lines."""
        for text in texts:
            self.log(resource, f"{text}\n", **options)

    def view(self, checkpoint: int = 0) -> dict[str, Any]:
        """Return the message for a client that has got all before the checkpoint."""
        begin = max(checkpoint, self.total - len(self.segments))
        sent: Sequence[dict[str, Any]] = self.segments[begin - self.total + len(self.segments) :]
        if not sent:
            return {"tiltStartTime": self.session, "logList": {"fromCheckpoint": -1, "toCheckpoint": -1}}
        spans = {segment["spanId"]: {"manifestName": self.resources[segment["spanId"]]} for segment in sent}
        log: dict[str, Any] = {"spans": spans, "segments": list(sent), "toCheckpoint": self.total}
        # Go leaves out a zero.
        return {"tiltStartTime": self.session, "logList": log | ({"fromCheckpoint": begin} if begin else {})}
