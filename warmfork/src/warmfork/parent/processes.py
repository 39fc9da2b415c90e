"""The forked processes as the parent sees them: what each is there for, and which changes of that there are."""

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from warmfork.channel import Channel
from warmfork.failure import Failure
from warmfork.parent.policy import Change
from warmfork.parent.restart import inherited_socket
from warmfork.snapshot.import_plan import ImportPlan
from warmfork.snapshot.record import Record


class Role(StrEnum):
    """What a process is there for; the value is what a status tells."""

    # Has imported what the next change will probably not touch, and waits for it.
    STANDBY = "standby"
    # Has imported all of the application and started nothing of it; is copied for each change.
    TEMPLATE = "template"
    # A copy of the template, which waits for the next change.
    COPY = "copy"
    # Imports the application and starts it.
    STARTING = "starting"
    SERVING = "serving"
    # Finishes what is under way.
    DRAINING = "draining"
    # Was killed, or is of no use any more, and has not ended yet.
    ENDING = "ending"


_SET_CHILD_SUBREAPER = 36  # of prctl(2)

_TRANSITIONS = {
    Role.STANDBY: {Role.STARTING, Role.ENDING},
    Role.TEMPLATE: {Role.ENDING},
    Role.COPY: {Role.STARTING, Role.ENDING},
    Role.STARTING: {Role.SERVING, Role.ENDING},
    Role.SERVING: {Role.DRAINING, Role.ENDING},
    Role.DRAINING: {Role.ENDING},
    Role.ENDING: {Role.ENDING},
}


@dataclass(eq=False)
class Process:
    """A forked process.

    pid: 0 until a process that another one has forked has told its own; plan: what it has imported ahead of the next
    change; stale: files that changed since it was forked; swapped: those of them that others could take over without
    executing them; record: what it had executed and read when it was prepared; outdated: files by which it has found
    itself to be of no use; is_misplaced: because of the order in which it has imported them; is_prompting: a person
    is asked something, as by a debugger; is_fallback: it serves the failure and not the application; is_copy: it was
    forked by a template; template: what it has left behind; change: what a copy is to take over.
    """

    pid: int
    channel: Channel
    role: Role
    generation: int
    plan: ImportPlan = field(default_factory=ImportPlan)
    stale: set[Path] = field(default_factory=set)
    swapped: set[str] = field(default_factory=set)
    outdated: set[str] = field(default_factory=set)
    is_misplaced: bool = False
    record: Record = field(default_factory=Record)
    is_prepared: bool = False
    is_prompting: bool = False
    is_fallback: bool = False
    is_copy: bool = False
    template: "Process | None" = None
    change: Change | None = None
    failure: Failure | None = None
    failed_at_startup: bool = False
    began: float = field(default_factory=time.monotonic)

    @property
    def age(self) -> float:
        """Seconds since the fork."""
        return time.monotonic() - self.began

    @property
    def deferred(self) -> frozenset[str]:
        """Modules that it has not imported, because they wait for the next change."""
        return self.plan.deferred

    @property
    def was_standby(self) -> bool:
        """Whether it was prepared ahead of the change."""
        return bool(self.deferred)

    @property
    def way(self) -> str:
        """How it has come to the newest code, in a word."""
        return "swapped" if self.is_copy else "standby" if self.was_standby else "imported"

    def become(self, role: Role) -> None:
        """Change what it is there for. Raises ValueError for a change that does not exist."""
        if role not in _TRANSITIONS[self.role]:
            raise ValueError(f"process {self.pid} is {self.role} and cannot become {role}")
        self.role = role

    def kill(self) -> None:
        """End it at once, with all that it has started."""
        self.become(Role.ENDING)
        if not self.pid:
            # It ends when it finds that nobody listens.
            self.channel.shut_down()
            return
        for pid in (self.pid, *descendants(self.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def as_json(self) -> dict[str, Any]:
        """Return what the next parent is to know, with the descriptor of the channel."""
        return {
            "pid": self.pid,
            "channel": self.channel.fileno(),
            "role": self.role.value,
            "generation": self.generation,
            "is_fallback": self.is_fallback,
        }

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Process":
        """Return what as_json() has described."""
        channel = Channel(inherited_socket(fields["channel"]))
        role = Role(fields["role"])
        return cls(fields["pid"], channel, role, fields["generation"], is_fallback=fields["is_fallback"])

    def describe(self) -> dict[str, Any]:
        """Return what a status tells, for JSON."""
        return {"role": self.role.value, "pid": self.pid, "pss_bytes": pss(self.pid)}


class Processes:
    """All processes that were forked and have not been reaped."""

    def __init__(self) -> None:
        """There are none."""
        self._processes: list[Process] = []

    def __iter__(self) -> Iterator[Process]:
        """Yield them, the oldest first."""
        return iter(list(self._processes))

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._processes)

    def add(self, process: Process) -> None:
        """Take note of one."""
        self._processes.append(process)

    def discard(self, process: Process) -> None:
        """Forget one."""
        if process in self._processes:
            self._processes.remove(process)

    def with_role(self, *roles: Role) -> list[Process]:
        """Return those with one of the roles, the oldest first."""
        return [process for process in self if process.role in roles]

    def one(self, role: Role) -> Process | None:
        """Return the one with the role; None if there is none."""
        return next(iter(self.with_role(role)), None)

    @property
    def template(self) -> Process | None:
        """The one that can be copied."""
        return next((process for process in self.with_role(Role.TEMPLATE) if process.is_prepared), None)

    @property
    def serving(self) -> Process | None:
        """The one that serves."""
        return self.one(Role.SERVING)

    def reap(self, identify: Callable[[], None], ended: Callable[[Process, int], None]) -> None:
        """Forget those that have ended, each with its exit code; also reap orphans, as a container's first process.

        identify: takes in what processes say whose ids are not known yet.
        """
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if not self._find(pid):
                identify()
            if process := self._find(pid):
                self.discard(process)
                ended(process, os.waitstatus_to_exitcode(status))

    def _find(self, pid: int) -> Process | None:
        return next((process for process in self if process.pid == pid), None)


def adopt_orphans() -> None:
    """Become the parent of all processes below this one that lose theirs, also after a restart."""
    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap(pid: int) -> None:
    """Wait for the end of a child; an application may have told the kernel that nobody wants to know of it."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def descendants(pid: int) -> list[int]:
    """Return the processes that a process has started, and theirs; none where the kernel does not tell."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found += [child, *descendants(child)]
    return found


def pss(pid: int) -> int:
    """Return a process's proportional share of memory in bytes, see proc(5); 0 when it has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
