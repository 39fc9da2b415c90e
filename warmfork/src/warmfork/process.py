"""The parent's view of one forked process."""

import contextlib
import os
import signal
import time
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from warmfork.channel import Channel
from warmfork.failure import Failure


class Role(StrEnum):
    """What a process is there for."""

    STANDBY = "standby"
    BOOTING = "booting"
    SERVING = "serving"
    LEAVING = "draining"


@dataclass(eq=False)
class Process:
    """A forked process.

    behind: modules that it has not imported, because they wait for the next change; missing: files that changed since
    it was forked; is_fallback: it serves the failure and not the application.
    """

    pid: int
    channel: Channel
    role: Role
    generation: int
    behind: frozenset[str] = frozenset()
    missing: set[Path] = field(default_factory=set)
    is_prepared: bool = False
    is_fallback: bool = False
    failure: Failure | None = None
    began: float = field(default_factory=time.monotonic)

    @property
    def age(self) -> float:
        """Seconds since the fork."""
        return time.monotonic() - self.began

    @property
    def was_standby(self) -> bool:
        """Whether it was prepared ahead of the change."""
        return bool(self.behind)

    def kill(self) -> None:
        """End it at once."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def describe(self) -> dict[str, Any]:
        """Return what a status tells, for JSON."""
        return {"role": self.role.value, "pid": self.pid, "pss_bytes": pss(self.pid)}


def pss(pid: int) -> int:
    """Return a process's proportional share of memory in bytes, see proc(5); 0 when it has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
