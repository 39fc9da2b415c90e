"""Forks processes, tells them what has changed, and listens to what they say."""

import os
from collections.abc import Callable
from typing import Any

from warmfork.channel import Message
from warmfork.events import EventLoop
from warmfork.failure import Failure
from warmfork.memory import memory_file
from warmfork.parent.forking import Forking
from warmfork.parent.processes import Process, Processes, Role
from warmfork.snapshot.record import Record
from warmfork.snapshot.sources import Sources


class Children:
    """The processes that this one has forked, and the channels to them."""

    def __init__(
        self,
        events: EventLoop,
        forking: Forking,
        generation: int,
        *,
        on_message: Callable[[Process, Message], None],
        on_exit: Callable[[Process, int], None],
    ) -> None:
        """generation: of the newest process so far; on_exit: is called with the exit code, after the last message."""
        self.processes = Processes()
        self._generation = generation
        self._events = events
        self._forking = forking
        self._on_message = on_message
        self._on_exit = on_exit

    def take_over(self, fields: dict[str, Any]) -> None:
        """Take over a process of a former parent, as its as_json() has described it."""
        self._add(Process.from_json(fields))

    def start(self, before: Record, failure: Failure | None = None) -> Process:
        """Fork a process that imports all of the application at once, or serves a failure in its place."""
        self._generation += 1
        return self._fork(Role.STARTING, before, failure=failure)

    def stand_by(self, preimported: tuple[str, ...], deferred: frozenset[str], before: Record) -> None:
        """Fork a process that imports some modules, and waits for a change with the others."""
        self._fork(Role.STANDBY, before, preimported=preimported, deferred=deferred)

    def send_change(self, standby: Process, sources: Sources) -> bool:
        """Tell a standby what has changed since it was forked; return whether it will start."""
        self._generation += 1
        standby.generation = self._generation
        try:
            packed = memory_file(sources.pack(standby.stale))
        except OSError:
            return False
        files = sorted(map(str, standby.stale))
        try:
            if not standby.channel.send("go", [packed], generation=self._generation, files=files):
                return False
        finally:
            os.close(packed)
        standby.become(Role.STARTING)
        return True

    def kill(self, *roles: Role) -> None:
        """End the processes with one of these roles at once."""
        for process in self.processes.with_role(*roles):
            process.kill()

    def leave(self) -> dict[str, Any]:
        """Give up all but those with requests; return these, and what else the next parent is to know of them."""
        self.kill(Role.STARTING, Role.STANDBY)
        kept = self.processes.with_role(Role.SERVING, Role.DRAINING)
        return {"processes": [process.as_json() for process in kept], "generation": self._generation}

    def reap(self) -> None:
        """Take note of processes that have ended."""
        self.processes.reap(self._on_end)

    def _fork(
        self,
        role: Role,
        before: Record,
        *,
        preimported: tuple[str, ...] = (),
        deferred: frozenset[str] = frozenset(),
        failure: Failure | None = None,
    ) -> Process:
        process = self._forking.fork(
            role,
            self._generation,
            preimported=preimported,
            deferred=deferred,
            failure=failure,
            before=before,
            sibling=self.processes.serving,
        )
        self._add(process)
        return process

    def _add(self, process: Process) -> None:
        self.processes.add(process)
        self._events.watch(process.channel.fileno(), lambda: self._listen(process))

    def _listen(self, process: Process) -> None:
        """Take in all that a process has said."""
        while process.channel.fileno() >= 0:
            try:
                message = process.channel.receive()
            except BlockingIOError:
                return
            if message is None:
                self._close(process)
                return
            self._on_message(process, message)

    def _close(self, process: Process) -> None:
        self._events.unwatch(process.channel.fileno())
        process.channel.close()

    def _on_end(self, process: Process, code: int) -> None:
        self._listen(process)
        if process.channel.fileno() >= 0:
            self._close(process)
        self._events.cancel(process)
        self._on_exit(process, code)
