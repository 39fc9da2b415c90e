"""Brings changes to the requests: asks the policy what to do about each, and has the processes do it."""

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from warmfork.channel import Message
from warmfork.control.control import Outcome
from warmfork.events import EventLoop
from warmfork.failure import Failure
from warmfork.parent.application import Application
from warmfork.parent.children import Children
from warmfork.parent.failing import Failing
from warmfork.parent.files import Files
from warmfork.parent.forking import Forking
from warmfork.parent.handover import Handover
from warmfork.parent.libraries import Libraries
from warmfork.parent.pending import Answer, PendingChange
from warmfork.parent.policy import Change, Known, Way, decide
from warmfork.parent.preparation import Preparation
from warmfork.parent.processes import Process, Role, pss
from warmfork.parent.restart import State
from warmfork.parent.restless import Restless
from warmfork.parent.starting import Starting
from warmfork.settings import Settings
from warmfork.snapshot.record import Record

# Seconds until what was half written when the application has read it is there.
_WRITING = 0.05


class Reloader:
    """The application's processes, from one change of its files to the next."""

    def __init__(  # noqa: PLR0913 - the parts of the parent
        self,
        settings: Settings,
        *,
        address: str,
        events: EventLoop,
        files: Files,
        libraries: Libraries,
        forking: Forking,
        state: State | None,
        look: Callable[[], None],
        gather: Callable[[], None],
        take_over: Callable[[Iterable[str], float], None],
        restart: Callable[[str], None],
    ) -> None:
        """Take over the processes of a former parent.

        address: where the application is served, for people; look: takes notice of all that has changed by now; gather:
        asks what that is, to look at it later; take_over: imports libraries here as well, each in so many seconds;
        restart: replaces this program by another.
        """
        self._events = events
        self._files = files
        self._libraries = libraries
        self._look = look
        self._gather = gather
        self._restart = restart
        generation = state.generation if state else 0
        self._children = Children(events, forking, generation, on_message=self._on_message, on_exit=self._on_exit)
        self._processes = self._children.processes
        self._handover = Handover(self._processes, events, settings)
        self._application = Application(settings.app, state.exclusive if state else "")
        self._pending = PendingChange(
            settings.app, address, state.files if state else (), has_served=bool(state and state.processes)
        )
        self._preparation = Preparation(
            settings, events, children=self._children, application=self._application, files=files, take_over=take_over
        )
        self._starting = Starting(
            events,
            children=self._children,
            handover=self._handover,
            preparation=self._preparation,
            application=self._application,
            files=files,
            pending=self._pending,
        )
        self._restless = Restless(files.sources)
        self._failing = Failing(
            events,
            address=address,
            processes=self._processes,
            handover=self._handover,
            preparation=self._preparation,
            starting=self._starting,
            application=self._application,
            pending=self._pending,
            restless=self._restless,
        )
        # Why the last change could not be swapped.
        self._refusal = ""
        self._is_stopping = False
        for fields in state.processes if state else ():
            self._children.take_over(fields)

    # --- start and end

    def start(self) -> None:
        """Import and serve the application."""
        # Children of a former parent may have ended meanwhile.
        self._children.reap()
        self._handover.hold()
        self._starting.whole()

    def stop(self) -> None:
        """Let all processes end; at once if they were asked before."""
        if self._is_stopping:
            for process in self._processes:
                process.kill()
        self._is_stopping = True
        self._events.cancel_all()
        self._handover.stop()

    @property
    def is_stopping(self) -> bool:
        """Whether it was asked to end."""
        return self._is_stopping

    @property
    def has_ended(self) -> bool:
        """Whether it was, and no process is left."""
        return self._is_stopping and not self._processes

    @property
    def pids(self) -> list[int]:
        """The ids of all processes."""
        return [process.pid for process in self._processes]

    def leave(self) -> dict[str, Any]:
        """Give up all processes but those with requests; return them and what else the next parent is to know."""
        self._handover.resume(self._failing.failure)
        files = sorted(map(str, self._pending.files))
        return {**self._children.leave(), "exclusive": self._application.exclusive, "files": files}

    def reap(self) -> None:
        """Take note of processes that have ended."""
        self._children.reap()

    def listen(self) -> None:
        """Take in what the processes have said by now."""
        self._children.listen()

    def describe(self) -> dict[str, Any]:
        """Return the state of all processes, for JSON."""
        serving, failure = self._processes.serving, self._failing.failure
        return {
            "generation": serving.generation if serving else 0,
            "code": self._files.sources.digest,
            "failure": failure.as_json() if failure else None,
            "processes": [
                {"role": "parent", "pid": os.getpid(), "pss_bytes": pss(os.getpid())},
                *(process.describe() for process in self._processes),
            ],
        }

    # --- changes

    def change(self, changed: set[Path], began: float, answer: Answer | None = None) -> None:
        """Bring changed files to the requests. began: as of time.monotonic(); answer: is told of the effect."""
        if self._is_stopping or not changed:
            return
        if not (changed := self._restless.leave(changed)):
            if answer:
                self.unchanged(answer)
            return
        self._events.cancel("torn")
        self._failing.note_change()
        self._children.note_change(changed)
        self._children.kill(Role.STARTING)
        self._refusal = ""
        self._starting.note_change()
        self._pending.add(changed, began, answer)
        self._handover.hold()
        names = frozenset(map(str, changed))
        self._preparation.note_edited(names)
        self.act(
            Change(
                files=names,
                environment=self._files.environment(changed),
                libraries=self._libraries.edited(names),
            )
        )

    def unchanged(self, answer: Answer) -> None:
        """Answer for files that have come by another way already, and may not be served yet."""
        if self._starting.is_under_way:
            self._pending.wait(answer)
        else:
            answer(Outcome("unchanged"))

    def note_written(self, paths: Iterable[Path]) -> None:
        """Take note of files that were written, whatever they hold now."""
        self._starting.note_written(paths)

    def touched(self) -> None:
        """Take note that files were written whose content is as it was."""
        if not self._is_stopping:
            self._failing.note_touched()

    def act(self, change: Change) -> None:
        """Do what the policy says."""
        # What was written by now is no disturbance of what starts next.
        self._gather()
        find, record = self._files.sources.find, self._application.record
        errors = {name: source.error for name in change.files if (source := find(name)) and source.error}
        has_template = self._processes.template is not None
        if has_template and not self._refusal:
            self._refusal = self._application.must_execute(sorted(self._pending.unserved), self._files.sources)
        # To look at all that they have reached takes longer than a swap, which needs none of it.
        needs_none = (has_template and not self._refusal) or self._files.sources.acts_newly(self._pending.unserved)
        standbys = [] if needs_none else self._preparation.standbys
        known = Known(
            broken=frozenset(errors),
            executed=record.digests.keys(),
            unserved=frozenset(self._pending.unserved),
            has_template=has_template,
            refusal=self._refusal,
            standbys=[known for _, known in standbys],
            unread=frozenset(filter(self._application.has_not_read, self._pending.unserved)),
            missed=frozenset(filter(record.has_missed, self._pending.unserved)),
            is_single=bool(self._application.exclusive) or self._handover.is_making_alone,
        )
        decision = decide(change, known)
        if decision.way is Way.RESTART:
            self._restart(decision.reason)
        elif decision.way is Way.FAIL:
            self._failing.fail(Failure.of(errors[min(errors.keys() & record.digests.keys())]))
        elif decision.way is Way.ONE_AT_A_TIME:
            self._starting.alone()
        elif decision.way is Way.SWAP:
            if not self._starting.with_copy(change):
                self._refuse(change, "the template has ended")
        elif decision.way is Way.STANDBY:
            self._starting.with_standby(next(process for process, known in standbys if known is decision.standby))
        elif decision.way is Way.IMPORT:
            self._starting.whole()

    def _refuse(self, change: Change, reason: str) -> None:
        self._refusal = reason
        self.act(change)

    # --- processes

    def _on_message(self, process: Process, message: Message) -> None:
        if message.event == "failed":
            process.failure = Failure(**message.fields["failure"])
            process.failed_at_startup = message.fields["at_startup"]
        elif message.event == "stale":
            process.outdated |= set(message.fields["files"])
            process.is_misplaced = message.fields["is_misplaced"]
        elif message.event == "ready":
            process.is_prepared = True
            self._preparation.on_template_ready()
        elif message.event == "prepared":
            process.is_prepared = True
            process.record = Record.from_json(message.fields["record"])
            if process.role is Role.STANDBY:
                self._preparation.on_prepared(process, message.fields["spoilt"])
        elif message.event == "refused":
            if process.role is Role.STARTING and process.change:
                self._children.withdraw(process)
                self._refuse(process.change, message.fields["reason"])
        elif message.event in {"reads", "writes"}:
            self._note_file(message.event, message.fields["path"])
        elif message.event == "loaded" and process.role is Role.STARTING:
            self._promote(process, message.fields)
        else:
            self._handover.on_message(process, message)

    def _note_file(self, event: str, path: str) -> None:
        if event == "reads":
            self._application.read_later.add(path)
        else:
            self._files.sources.leave(Path(path))

    def _promote(self, process: Process, fields: dict[str, Any]) -> None:
        """Let a process serve in place of the one before, unless it is not what is to be served."""
        self._look()
        if process.role is not Role.STARTING:
            return
        torn = self._starting.torn(process, fields)
        if torn and self._starting.once_more(process, lambda: self.act(Change(files=frozenset(map(str, torn))))):
            return
        if late := self._set_too_late(process, fields):
            self._restart(f"libraries were imported before the application has set {', '.join(late)}")
            return
        if self._handover.must_wait(lambda: self._promote(process, fields)):
            return
        if not self._handover.promote(process):
            return
        self._starting.has_ended()
        if not process.is_fallback:
            self._note_served(process, fields, torn)

    def _note_served(self, process: Process, fields: dict[str, Any], torn: set[Path]) -> None:
        """Take note that a process serves, and of what it has told. torn: files that it is to read once more."""
        self._children.choose_template(process)
        self._pending.note_served(process.way, self._refusal, fields["lifespan"])
        if process.is_copy:
            self._application.note_swapped(fields["swapped"], self._files.sources)
            self._children.note_swapped(fields["swapped"])
        else:
            self._handover.note_start(self._pending.seconds)
            self._application.note_imported(fields, self._pending.seconds)
        self._files.sources.settle()
        self._restless.settle()
        self._failing.note_success()
        self._preparation.soon(was_swapped=process.is_copy)
        if not process.is_copy:
            self.change(self._files.follow(self._application.record), time.monotonic())
        if torn:
            self._events.call_later("torn", _WRITING, lambda: self.change(torn, time.monotonic()))

    def _set_too_late(self, process: Process, fields: dict[str, Any]) -> list[str]:
        """Return variables that the application has set after the libraries that read them were imported here."""
        if process.is_copy or process.is_fallback:
            return []
        return self._libraries.note_variables(fields["record"]["setting"], fields["bound"])

    def _on_exit(self, process: Process, code: int) -> None:
        """Take note of the end of a process."""
        role = process.role
        process.become(Role.ENDING)
        if self._is_stopping:
            return
        self._handover.on_exit()
        self._failing.on_exit(process, role, code)
