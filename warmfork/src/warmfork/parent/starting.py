"""The ways in which a process comes to start the application in its newest state."""

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from warmfork import report
from warmfork.events import EventLoop
from warmfork.failure import Failure
from warmfork.parent.application import Application
from warmfork.parent.children import Children
from warmfork.parent.files import Files
from warmfork.parent.handover import Handover
from warmfork.parent.pending import PendingChange
from warmfork.parent.policy import Change
from warmfork.parent.preparation import Preparation
from warmfork.parent.processes import Process, Role

# An application that has read what somebody was writing is started once more, as often as there are entries: when
# nothing has been written for so many seconds. The first time it was one file, mostly; then a tool brings many.
_QUIET = (0.0, 0.02, 0.1)
# Seconds; somebody who writes for longer is not waited for.
_LONGEST_WRITING = 1.0


class Starting:
    """Has processes start the application, and says so when one takes long."""

    def __init__(  # noqa: PLR0913 - the parts that take part
        self,
        events: EventLoop,
        *,
        children: Children,
        handover: Handover,
        preparation: Preparation,
        application: Application,
        files: Files,
        pending: PendingChange,
    ) -> None:
        """No process starts yet."""
        self._events = events
        self._children = children
        self._handover = handover
        self._preparation = preparation
        self._application = application
        self._files = files
        self._pending = pending
        # Files that somebody has written since the last start, whatever they hold; how often that was a reason to start
        # once more, and what does so when nothing is written any more.
        self._written: set[Path] = set()
        self._again = 0
        self._waiting: tuple[Callable[[], None], float] | None = None

    def whole(self) -> None:
        """Fork a process that imports all of the application; in its turn, if only one may run at a time."""
        if self._application.exclusive:
            self.alone()
        else:
            self._anew()

    def alone(self) -> None:
        """Let what serves end, and fork a process that imports all of the application once it has."""
        # What is made ready meanwhile would be there for as long as it is waited for.
        self._preparation.cancel()
        self._handover.make_alone(self._anew)

    def with_failure(self, failure: Failure) -> None:
        """Fork a process that serves a failure in place of the application."""
        self._expect(self._children.start(self._application.record, failure))

    def with_copy(self, change: Change) -> bool:
        """Let a copy of the template take over the change; return False if there is none."""
        copy = self._children.processes.one(Role.COPY) or self._children.copy(self._files.sources, is_served=False)
        if copy is None or not self._children.send_change(copy, self._files.sources, leaves_template=False):
            return False
        copy.change = change
        self._expect(copy)
        return True

    def with_standby(self, standby: Process) -> None:
        """Let a process that stands by take over the change, or else one that imports everything."""
        # Another that stands by forks a template later, when nobody waits. That executes once more what this one does.
        leaves_template = bool(self._application.record.writing)
        if self._children.send_change(standby, self._files.sources, leaves_template=leaves_template):
            self._expect(standby)
        else:
            self._anew()

    def note_change(self) -> None:
        """Take note that something has changed."""
        self._again = 0
        self._wait_no_longer()

    def note_written(self, paths: Iterable[Path]) -> None:
        """Take note of files that were written, came or went."""
        written = set(filter(self._files.sources.concerns, paths))
        self._written |= written
        if written and self._waiting:
            self._wait_for_quiet(*self._waiting)

    def torn(self, process: Process, fields: Mapping[str, Any]) -> set[Path]:
        """Return files that somebody was writing when the process has read them, or listed their folders.

        fields: what it has told when it had started.
        """
        if process.is_fallback:
            return set()
        read = set(fields["read"])
        written = {path for path in self._written if not read.isdisjoint((str(path), str(path.parent)))}
        return {*written, *map(Path, fields["torn"])}

    def once_more(self, process: Process, start: Callable[[], None]) -> bool:
        """Withdraw a process, and start again for the same change when nothing is written any more.

        Return False if that was done before: an application may read half a file at every start.
        """
        if self._again == len(_QUIET):
            return False
        self._children.withdraw(process)
        self._again += 1
        self._wait_for_quiet(start, time.monotonic() + _LONGEST_WRITING)
        return True

    @property
    def is_under_way(self) -> bool:
        """Whether a process starts the newest state, or will when nothing is written any more."""
        starting = self._children.processes.with_role(Role.STARTING)
        return self._waiting is not None or any(not process.is_fallback for process in starting)

    def has_ended(self) -> None:
        """Take note that a process starts no longer."""
        self._events.cancel("remark")

    def _anew(self) -> None:
        self._children.kill(Role.STANDBY)
        self._expect(self._children.start(self._application.record))

    def _wait_for_quiet(self, start: Callable[[], None], until: float) -> None:
        def begin() -> None:
            self._wait_no_longer()
            start()

        self._waiting = start, until
        seconds = min(_QUIET[self._again - 1], until - time.monotonic())
        self._events.call_later("once more", seconds, begin)

    def _wait_no_longer(self) -> None:
        self._waiting = None
        self._events.cancel("once more")

    def _expect(self, process: Process) -> None:
        self._wait_no_longer()
        self._written.clear()
        seconds = self._handover.hold_timeout

        def remark() -> None:
            if process.role is Role.STARTING and self._children.processes.serving:
                report.log(f"{self._pending}: still starting after {seconds:g} s; the old code answers meanwhile")

        self._events.call_later("remark", seconds, remark)
