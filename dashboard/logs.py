"""The log lines of all resources, from Tilt's own log store, kept longer than Tilt keeps them.

Tilt numbers what it has ever logged. These numbers, its checkpoints, tell after a lost connection what is already here.
"""

import json
import re
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import islice
from typing import Any

MAXIMUM_LINES = 100_000
# Characters of all lines together; a line of ours takes about as many bytes again for its other fields.
MAXIMUM_CHARACTERS = 32_000_000
# Characters of one line; the rest of a longer one is cut off.
_LONGEST = 20_000

_LEVELS = ("debug", "info", "warn", "error")
_OF_TILT = {"VERBOSE": "debug", "DEBUG": "debug", "WARN": "warn", "ERROR": "error"}
_OF_JSON = {
    "debug": "debug",
    "warning": "warn",
    "warn": "warn",
    "error": "error",
    "critical": "error",
    "fatal": "error",
}
# What programs without a structured log write: PostgreSQL, nginx, pip. Words within a sentence do not count.
_ERROR = re.compile(r"^(\S+\s+){0,5}(\[(emerg|alert|crit|error)\]|(ERROR|FATAL|PANIC|CRITICAL)\b)|not reloaded, ")
_WARNING = re.compile(r"^(\S+\s+){0,5}(\[warn\]|(WARN|WARNING)\b)")
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")

_BUILD = ("build:", "cmdimage:", "liveupdate:", "tiltfile:")

# Python's traceback: a heading, indented frames, the exception; and again when one led to another.
_TRACEBACK = re.compile(r"(Exception Group )?Traceback \(most recent call last\):")
_CHAIN = re.compile(r"The above exception was|During handling of the above|caused by$")
_EXCEPTION = re.compile(
    r"[A-Za-z_][\w.]*(Error|Exception|Warning|Interrupt|Exit|Group|Failure)\b|[a-z_]\w*(\.\w+)+(: |$)"
)
# The line of warmfork that its own account of an error follows: the exception first, then the frames.
_NOT_RELOADED = re.compile(r"warmfork: .*: not reloaded, ")


@dataclass(frozen=True, slots=True)
class Line:
    """One line. id counts from 1; time: milliseconds since 1970; head: the line whose message this one continues."""

    id: int
    time: float
    resource: str
    source: str
    level: str
    pod: str
    text: str
    head: int | None

    def as_json(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return asdict(self)


@dataclass
class _Message:
    """The message of several lines that a span is in. ended: the exception itself has come."""

    head: int
    level: str
    ended: bool = False


class Logs:
    """The last lines of all resources, in the order in which Tilt has got them."""

    def __init__(self, maximum_lines: int = MAXIMUM_LINES, maximum_characters: int = MAXIMUM_CHARACTERS) -> None:
        """Begin with none."""
        self._lines: deque[Line] = deque()
        self._maximum_lines = maximum_lines
        self._maximum_characters = maximum_characters
        self._characters = 0
        self._last = 0
        self._session = ""
        self._checkpoint = 0
        # By span, as Tilt calls a source of lines: the beginning of a line that is not complete, and the message.
        self._open: dict[str, str] = {}
        self._messages: dict[str, _Message] = {}

    @property
    def last(self) -> int:
        """The newest line's id; 0 before there is one."""
        return self._last

    @property
    def first(self) -> int:
        """The oldest kept line's id."""
        return self._last - len(self._lines) + 1

    def after(self, identifier: int, limit: int | None = None) -> list[Line]:
        """Return the kept lines with a greater id, the oldest first."""
        skipped = max(identifier - self.first + 1, 0)
        count = len(self._lines) - skipped
        if count <= 0:
            return []
        # From the end: what is asked for is nearly always there.
        beyond = max(count - limit, 0) if limit is not None else 0
        newest = list(islice(reversed(self._lines), beyond, count))
        newest.reverse()
        return newest

    def take(self, view: Mapping[str, Any]) -> list[Line]:
        """Take in one message of Tilt's stream; return the lines that are new.

        After a lost connection Tilt sends all that it has: what is here already is recognised.
        """
        session = view.get("tiltStartTime") or self._session
        if session != self._session:
            self._session, self._checkpoint = session, 0
            self._open.clear()
            self._messages.clear()
        log = view.get("logList") or {}
        segments = log.get("segments") or []
        begin = log.get("fromCheckpoint", 0)
        if begin < 0 or not segments:
            return []
        fresh = segments[max(self._checkpoint - begin, 0) :]
        self._checkpoint = max(self._checkpoint, log.get("toCheckpoint", begin + len(segments)))
        spans = log.get("spans") or {}
        lines: list[Line] = []
        for segment in fresh:
            lines += self._segment(segment, spans)
        self._forget()
        return lines

    def _segment(self, segment: Mapping[str, Any], spans: Mapping[str, Any]) -> Iterable[Line]:
        fields = segment.get("fields") or {}
        if fields.get("progressID") and fields.get("progressMustPrint") != "1":
            # One of many states of a progress bar.
            return []
        span = segment.get("spanId", "")
        text = self._open.pop(span, "") + segment.get("text", "")
        if not text.endswith("\n") and len(text) < _LONGEST:
            self._open[span] = text
            return []
        text = _COLOURS.sub("", text.rstrip("\n"))[:_LONGEST]
        resource = (spans.get(span) or {}).get("manifestName", "")
        self._last += 1
        level, head = self._fold(span, text, _level(segment.get("level", ""), text))
        line = Line(
            id=self._last,
            time=round(datetime.fromisoformat(segment["time"]).timestamp() * 1000, 1),
            resource="" if resource == "(Tiltfile)" else resource,
            source="build" if span.startswith(_BUILD) else "runtime",
            level=level,
            pod=span.rpartition(":")[2] if span.startswith("pod:") else "",
            text=text,
            head=head,
        )
        self._lines.append(line)
        self._characters += len(text)
        return [line]

    def _fold(self, span: str, text: str, level: str) -> tuple[str, int | None]:
        """Return the line's level, and the id of the line that it belongs to."""
        message = self._messages.get(span)
        if _NOT_RELOADED.match(text):
            self._messages[span] = _Message(self._last, "error")
            return "error", None
        if message:
            if _TRACEBACK.search(text) or text[:1] in {" ", "\t"} or _CHAIN.match(text):
                message.ended = False
                return message.level, message.head
            if not message.ended and (_EXCEPTION.match(text) or not text):
                message.ended = bool(text)
                return message.level, message.head
            if not text:
                return message.level, message.head
            del self._messages[span]
        if _TRACEBACK.match(text):
            self._messages[span] = _Message(self._last, "error")
            return "error", None
        return level, None

    def _forget(self) -> None:
        while self._lines and (len(self._lines) > self._maximum_lines or self._characters > self._maximum_characters):
            self._characters -= len(self._lines.popleft().text)


def _level(of_tilt: str, text: str) -> str:
    """Return the most serious of what Tilt, the line's own JSON and its words say."""
    level = _OF_TILT.get(of_tilt, "info")
    if text.startswith("{"):
        try:
            own = json.loads(text)
        except (ValueError, RecursionError):
            return level
        stated = str(own.get("level", "")).lower() if isinstance(own, dict) else ""
        return _OF_JSON.get(stated, level)
    if _ERROR.search(text):
        level = "error"
    elif _WARNING.match(text):
        level = max(level, "warn", key=_LEVELS.index)
    return level
