"""One line per event on standard output: JSON for machines, or a short form for people."""

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal, override

logger = logging.getLogger("app")
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


class JsonFormatter(logging.Formatter):
    """A JSON object per line, with the request's id and what the caller passed as `extra={"fields": {...}}`."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if identifier := request_id.get():
            line["request_id"] = identifier
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class HumanFormatter(logging.Formatter):
    """Local time with milliseconds, level, message, and the request's id."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S.%f")[:-3]
        line = f"{time} {record.levelname:<7} {record.getMessage()}"
        if identifier := request_id.get():
            line += f"  [{identifier}]"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def configure_logs(style: Literal["json", "human"]) -> None:
    """Send all logs to standard output in one style; uvicorn's access log gives way to the middleware's."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter() if style == "json" else HumanFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in ("uvicorn", "uvicorn.error"):
        source = logging.getLogger(name)
        source.handlers.clear()
        source.propagate = True
    logging.getLogger("uvicorn.access").disabled = True
