"""What a process is called, so that ps and top tell what each is there for."""

from contextlib import suppress
from enum import StrEnum
from pathlib import Path


class Title(StrEnum):
    """Names of processes. The kernel keeps 15 bytes."""

    STANDBY = "fork:standby"
    TEMPLATE = "fork:template"
    COPY = "fork:copy"
    STARTING = "fork:starting"
    SERVING = "fork:serving"
    DRAINING = "fork:draining"


def set_title(title: Title) -> None:
    """Name this process, where the system can."""
    with suppress(OSError):
        Path("/proc/self/comm").write_text(title)
