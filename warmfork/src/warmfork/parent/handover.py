"""Hands requests over from one process to the next: none fails, none is answered by older code than one before."""

from typing import Any

from warmfork import report
from warmfork.channel import MAXIMUM_DESCRIPTORS, Message, close_all
from warmfork.events import EventLoop
from warmfork.failure import Failure
from warmfork.parent.processes import Process, Processes, Role

# Seconds beyond its graceful time in which a process that drains must have ended.
_PATIENCE = 2.0
# Processes that may drain at a time; of more, the oldest is ended.
_MOST_DRAINING = 4


class Handover:
    """Tells the processes when to hold requests back, to serve and to leave."""

    def __init__(self, processes: Processes, events: EventLoop, graceful_timeout: float) -> None:
        """graceful_timeout: seconds that a request under way may take when its process is to end."""
        self._processes = processes
        self._events = events
        self._graceful_timeout = graceful_timeout
        # Kept connections that wait for a process that serves.
        self._idle: list[int] = []

    def hold(self) -> None:
        """Let requests wait, so that none is answered by old code once another has seen the new."""
        if serving := self._processes.serving:
            serving.channel.send("hold")

    def resume(self, failure: Failure | None) -> None:
        """Let the requests go on that wait for a change. failure: why it came to nothing."""
        if serving := self._processes.serving:
            fields: dict[str, Any] = failure.as_json() if failure else {}
            serving.channel.send("resume", **fields)

    def promote(self, process: Process) -> bool:
        """Let a process serve in place of the one before; return whether it will."""
        before = self._processes.serving
        if not process.channel.send("serve"):
            return False
        process.become(Role.SERVING)
        if before:
            self.drain(before)
        idle, self._idle = self._idle, []
        for start in range(0, len(idle), MAXIMUM_DESCRIPTORS):
            self._give(idle[start : start + MAXIMUM_DESCRIPTORS])
        return True

    def drain(self, process: Process) -> None:
        """Let a process finish what is under way."""
        process.become(Role.DRAINING)
        process.channel.send("leave")
        self.limit(process)
        for oldest in self._processes.with_role(Role.DRAINING)[:-_MOST_DRAINING]:
            if not oldest.is_prompting:
                oldest.kill()

    def stop(self) -> None:
        """Let all processes end."""
        for process in self._processes:
            process.is_prompting = False
            is_serving = process.role in {Role.SERVING, Role.DRAINING}
            if is_serving and process.channel.send("stop"):
                self.limit(process)
            else:
                process.kill()

    def limit(self, process: Process) -> None:
        """End a process that does not end by itself in time, unless a person is at its prompt."""
        if process.is_prompting:
            self._events.cancel(process)
            report.log(f"process {process.pid} runs the old code on until its prompt is left")
            return
        self._events.call_later(process, self._graceful_timeout + _PATIENCE, process.kill)

    def on_message(self, process: Process, message: Message) -> None:
        """Take in what a process says of its connections and of the person at its prompt."""
        if message.event == "idle":
            self._give(message.descriptors)
        elif message.event == "prompting":
            process.is_prompting = bool(message.fields["active"])
            if process.role is Role.DRAINING:
                self.limit(process)

    def _give(self, descriptors: list[int]) -> None:
        """Give kept connections to the process that serves."""
        if serving := self._processes.serving:
            serving.channel.send("adopt", descriptors)
            close_all(descriptors)
        else:
            self._idle += descriptors
