"""Forks the processes that import and serve the application."""

import gc
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass

from warmfork import report
from warmfork.activation import Activation
from warmfork.channel import Channel
from warmfork.child.child import Child
from warmfork.child.registered import Registered
from warmfork.child.seeds import Seeds
from warmfork.events import EventLoop
from warmfork.failure import Failure
from warmfork.parent.processes import Process, Role
from warmfork.server.status import Status
from warmfork.settings import Settings
from warmfork.snapshot.import_plan import ImportPlan
from warmfork.snapshot.loader import Importer
from warmfork.snapshot.record import Record
from warmfork.snapshot.territory import Territory


@dataclass(frozen=True)
class Forking:
    """What all of them start with."""

    settings: Settings
    events: EventLoop
    listener: socket.socket
    activation: Activation
    importer: Importer
    territory: Territory
    seeds: Seeds
    registered: Registered
    # Sees to it that there is nothing here that a child must not inherit.
    check: Callable[[], None]

    def fork(  # noqa: PLR0913 - what differs between them
        self,
        role: Role,
        generation: int,
        *,
        plan: ImportPlan,
        failure: Failure | None,
        before: Record,
        sibling: Process | None,
    ) -> Process:
        """Fork one and return what the parent knows of it; in the child this does not return."""
        mine, theirs = Channel.pair()
        status = Status(generation, serving=failure is None, failure=failure)
        self.check()
        was_collecting = gc.isenabled()
        gc.disable()
        # What is still to be passed on would be passed on by both.
        report.flush()
        pid = os.fork()
        if not pid:
            mine.close()
            self._leave_to_parent()
            self.registered.inherit()
            self.seeds.renew()
            Child(
                settings=self.settings,
                channel=theirs,
                listener=self.listener,
                activation=self.activation,
                importer=self.importer,
                territory=self.territory,
                status=status,
                seeds=self.seeds,
                plan=plan,
                before=before,
                sibling=sibling.pid if sibling else 0,
                failure=failure,
            ).run()
        if was_collecting:
            gc.enable()
        theirs.close()
        return Process(pid, mine, role, generation, plan=plan, is_fallback=failure is not None)

    def _leave_to_parent(self) -> None:
        """In a child: let go of what belongs to the parent."""
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGIO):
            signal.signal(number, signal.SIG_DFL)
        # Ctrl-C is for the parent. Not ignored, for a program that the application starts would inherit that.
        signal.signal(signal.SIGINT, lambda *_: None)
        self.events.leave_to_parent()
