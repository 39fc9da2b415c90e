"""Forks processes, tells them what has changed, and listens to what they say."""

import os
import socket
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from warmfork.channel import Channel, Message, close_all
from warmfork.events import EventLoop
from warmfork.failure import Failure
from warmfork.memory import memory_file
from warmfork.parent.forking import Forking
from warmfork.parent.processes import Process, Processes, Role
from warmfork.snapshot.import_plan import ImportPlan
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

    def stand_by(self, plan: ImportPlan, before: Record) -> None:
        """Fork a process that imports some modules, and waits for a change with the others."""
        self._fork(Role.STANDBY, before, plan=plan)

    def copy(self, sources: Sources, *, is_served: bool) -> Process | None:
        """Have the template copied, which need not wait for the copy; return that, None where there is no template.

        is_served: whether the present state of all files is served, so that the template can take it over.
        """
        template, copy = self.processes.template, None
        if template is None:
            return None
        mine, theirs = Channel.pair()
        serving = self.processes.serving
        # One that was not forked by the template shares little with it, whatever it has written.
        sibling = serving.pid if serving and serving.is_copy else 0
        fields = {"sibling": sibling, "files": sorted(map(str, template.stale))}
        changed: list[int] = []
        with suppress(OSError), closing(theirs):
            if template.stale and is_served:
                changed = [memory_file(sources.pack(template.stale))]
            if template.channel.send("copy", [theirs.fileno(), *changed], **fields):
                if changed:
                    template.stale.clear()
                copy = Process(0, mine, Role.COPY, self._generation, is_copy=True)
                copy.stale = set(template.stale)
                self._add(copy)
        close_all(changed)
        if copy is None:
            mine.close()
        return copy

    def make_template(self, standby: Process, sources: Sources) -> None:
        """Have one that stands by fork a process that imports the rest of the application and becomes a template."""
        mine, theirs = Channel.pair()
        with closing(theirs):
            is_told = self._send_stale(standby, "template", sources, [theirs.fileno()])
        if is_told:
            self._add(Process(0, mine, Role.TEMPLATE, self._generation))
        else:
            mine.close()

    def send_change(self, process: Process, sources: Sources, *, leaves_template: bool) -> bool:
        """Tell a process that waits what has changed since it was forked; return whether it will start.

        leaves_template: whether it is to leave a template behind, as one that stands by can.
        """
        self._generation += 1
        process.generation = self._generation
        if not self._send_stale(process, "go", sources, leaves_template=leaves_template):
            return False
        process.become(Role.STARTING)
        return True

    def _send_stale(
        self, process: Process, event: str, sources: Sources, descriptors: Iterable[int] = (), **fields: object
    ) -> bool:
        """Send a message with what has changed since the process was forked; return whether it will get it."""
        try:
            packed = memory_file(sources.pack(process.stale))
        except OSError:
            return False
        files = sorted(map(str, process.stale))
        try:
            return process.channel.send(
                event, [*descriptors, packed], generation=self._generation, files=files, **fields
            )
        finally:
            os.close(packed)

    def withdraw(self, process: Process) -> None:
        """End a process that could not take over the change, which is still to be served."""
        self._generation -= 1
        process.kill()

    def note_change(self, files: set[Path]) -> None:
        """Remember for all processes that wait what has changed since they were forked."""
        for process in self.processes.with_role(Role.STANDBY, Role.TEMPLATE, Role.COPY):
            process.stale |= files
            process.swapped -= set(map(str, files))

    def note_swapped(self, files: Iterable[str]) -> None:
        """Remember for those that stand by that they need not be replaced for these."""
        for process in self.processes.with_role(Role.STANDBY):
            process.swapped |= set(files)

    def choose_template(self, serving: Process) -> None:
        """From now on copy what the process that now serves has left behind; it may be a copy itself."""
        if serving.is_copy:
            return
        for process in self.processes.with_role(Role.TEMPLATE, Role.COPY):
            if process is not serving.template:
                process.kill()

    def kill(self, *roles: Role) -> None:
        """End the processes with one of these roles at once."""
        for process in self.processes.with_role(*roles):
            process.kill()

    def leave(self) -> dict[str, Any]:
        """Give up all but those with requests; return these, and what else the next parent is to know of them."""
        self.kill(Role.STARTING, Role.STANDBY, Role.TEMPLATE, Role.COPY)
        # One that has closed its channel is about to end, and is reaped by whoever is its parent then.
        kept = [one for one in self.processes.with_role(Role.SERVING, Role.DRAINING) if one.channel.fileno() >= 0]
        return {"processes": [process.as_json() for process in kept], "generation": self._generation}

    def listen(self) -> None:
        """Take in what all of them have said by now."""
        for process in self.processes:
            self._listen(process)

    def reap(self) -> None:
        """Take note of processes that have ended."""
        self.processes.reap(self._identify, self._on_end)

    def _identify(self) -> None:
        """Learn the ids of processes that others have forked: an end may be noticed before the first message."""
        for process in self.processes:
            if not process.pid:
                self._listen(process)

    def _fork(
        self,
        role: Role,
        before: Record,
        *,
        plan: ImportPlan | None = None,
        failure: Failure | None = None,
    ) -> Process:
        process = self._forking.fork(
            role,
            self._generation,
            plan=plan or ImportPlan(),
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
            elif message.event == "template":
                self._add_template(process, message)
            elif message.event == "forked":
                self._on_forked(process, message.fields["pid"])
            else:
                self._on_message(process, message)

    def _on_forked(self, process: Process, pid: int) -> None:
        """Take note of the id of a process that another one has forked."""
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            # It has ended, and was reaped when nobody knew it. Its channel will tell the same.
            return
        process.pid = pid
        if process.role is Role.ENDING:
            process.kill()

    def _add_template(self, process: Process, message: Message) -> None:
        """Take note of a template that a process has left behind."""
        channel = Channel(socket.socket(fileno=message.descriptors[0]))
        process.template = Process(0, channel, Role.TEMPLATE, process.generation)
        self._add(process.template)
        if process.role is Role.ENDING:
            process.template.kill()

    def _close(self, process: Process) -> None:
        self._events.unwatch(process.channel.fileno())
        process.channel.close()
        if not process.pid:
            # Nobody knows the process, so nobody reaps it.
            self.processes.discard(process)
            self._on_exit(process, 0)

    def _on_end(self, process: Process, code: int) -> None:
        self._listen(process)
        if process.channel.fileno() >= 0:
            self._close(process)
        self._events.cancel(process)
        if process.template and process.role is Role.STARTING:
            process.template.kill()
        self._on_exit(process, code)
