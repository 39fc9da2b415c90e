"""Hands requests over from one process to the next: none fails, none is answered by older code than one before."""

from collections import deque
from collections.abc import Callable
from typing import Any

from warmfork import report
from warmfork.channel import MAXIMUM_DESCRIPTORS, Message, close_all
from warmfork.events import EventLoop
from warmfork.failure import Failure
from warmfork.parent.processes import Process, Processes, Role
from warmfork.settings import Settings

# Seconds beyond its graceful time in which a process that drains must have ended.
_PATIENCE = 2.0
# Processes that may drain at a time; of more, the oldest is ended.
_MOST_DRAINING = 4
# Seconds that requests wait for new code at least, unless told otherwise: most applications start within them.
_LEAST_HOLD = 10.0
# They wait for so many times the longest of so many last starts.
_TIMES_START, _STARTS = 2.0, 5


class Handover:
    """Tells the processes when to hold requests back, to serve and to leave."""

    def __init__(self, processes: Processes, events: EventLoop, settings: Settings) -> None:
        """Nothing is held yet."""
        self._processes = processes
        self._events = events
        self._graceful_timeout = settings.graceful_timeout
        self._given_timeout = settings.hold_timeout
        self._starts: deque[float] = deque(maxlen=_STARTS)
        # How often requests were to wait, whether they do, and what is to be done once they do.
        self._holds = 0
        self._is_held = False
        self._has_given_up = False
        self._when_held: Callable[[], None] | None = None
        self._when_alone: Callable[[], None] | None = None
        # Kept connections that wait for a process that serves.
        self._idle: list[int] = []
        self._is_stopping = False

    @property
    def hold_timeout(self) -> float:
        """Seconds that requests wait for new code before the old one answers."""
        if self._given_timeout is not None:
            return self._given_timeout
        return max(_LEAST_HOLD, _TIMES_START * max(self._starts, default=0))

    def note_start(self, seconds: float) -> None:
        """Take note of how long it took until new code was served."""
        self._starts.append(seconds)

    def hold(self) -> None:
        """Let requests wait, so that none is answered by old code once another has seen the new."""
        self._holds += 1
        self._is_held = self._has_given_up = False
        # What waited for the hold before is superseded.
        self._events.cancel("held")
        if serving := self._processes.serving:
            serving.channel.send("hold", seconds=self.hold_timeout, number=self._holds)

    def must_wait(self, then: Callable[[], None]) -> bool:
        """Tell whether old code may still answer; if so, do this once it does not, or does nothing at all."""
        if self._processes.serving is None:
            return False
        if self._has_given_up:
            self.hold()
        if self._is_held:
            return False
        self._when_held = then
        # One that is busy answers nobody; but it may be so for ever.
        self._events.call_later("held", _PATIENCE, self._on_held)
        return True

    def _on_held(self) -> None:
        self._is_held = True
        self._events.cancel("held")
        then, self._when_held = self._when_held, None
        if then:
            then()

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

    def make_alone(self, then: Callable[[], None]) -> None:
        """Let all processes end, and do this once none is left; requests wait meanwhile."""
        self._when_alone = then
        for process in self._processes.with_role(Role.STANDBY, Role.TEMPLATE, Role.COPY):
            process.kill()
        if serving := self._processes.serving:
            self.drain(serving)
        self.on_exit()

    @property
    def is_making_alone(self) -> bool:
        """Whether it waits for all processes to end."""
        return self._when_alone is not None

    def give_up_alone(self) -> None:
        """Wait no longer for all processes to end."""
        self._when_alone = None

    def on_exit(self) -> None:
        """Take note that a process may have ended."""
        if self._when_alone and not self._processes:
            then, self._when_alone = self._when_alone, None
            then()

    def stop(self) -> None:
        """Let all processes end, also those with a person at their prompt."""
        self._is_stopping = True
        for process in self._processes:
            is_serving = process.role in {Role.SERVING, Role.DRAINING}
            if is_serving and process.channel.send("stop"):
                self.limit(process)
            else:
                process.kill()

    def limit(self, process: Process) -> None:
        """End a process that does not end by itself in time, unless a person is at its prompt."""
        if process.is_prompting and not self._is_stopping:
            self._events.cancel(process)
            report.log(f"process {process.pid} runs the old code on until its prompt is left")
            return
        self._events.call_later(process, self._graceful_timeout + _PATIENCE, process.kill)

    def on_message(self, process: Process, message: Message) -> None:
        """Take in what a process says of its connections and of the person at its prompt."""
        if message.event == "gave up":
            self._has_given_up = process.role is Role.SERVING
        elif message.event == "held":
            if message.fields["number"] == self._holds:
                self._on_held()
        elif message.event == "idle":
            self._give(message.descriptors)
        elif message.event == "prompting":
            process.is_prompting = bool(message.fields["active"])
            if process.role is Role.DRAINING and not self._is_stopping:
                self.limit(process)

    def _give(self, descriptors: list[int]) -> None:
        """Give kept connections to the process that serves."""
        if serving := self._processes.serving:
            serving.channel.send("adopt", descriptors)
            close_all(descriptors)
        else:
            self._idle += descriptors
