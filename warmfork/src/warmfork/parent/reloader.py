"""Brings changes to the requests: asks the policy what to do about each, and has the processes do it."""

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from warmfork import report
from warmfork.channel import Message
from warmfork.control.control import Outcome
from warmfork.events import EventLoop
from warmfork.failure import Failure
from warmfork.parent.children import Children
from warmfork.parent.files import Files
from warmfork.parent.forking import Forking
from warmfork.parent.handover import Handover
from warmfork.parent.libraries import Libraries
from warmfork.parent.pending import Answer, PendingChange
from warmfork.parent.policy import Change, Known, Way, decide
from warmfork.parent.processes import Process, Role, pss
from warmfork.parent.restart import State
from warmfork.parent.retry import Retry, is_conflict
from warmfork.settings import Settings
from warmfork.snapshot.graph import Graph
from warmfork.snapshot.record import Record

# Seconds after a reload in which the processor belongs to the requests that waited for it.
_REST = 0.15
# A process that ends before it is so many seconds old is not replaced before the next change.
_MINIMUM_UPTIME = 1.0


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
        take_over: Callable[[Iterable[str]], None],
        restart: Callable[[str], None],
    ) -> None:
        """Take over the processes of a former parent.

        address: where the application is served, for people; look: takes notice of all that has changed by now;
        take_over: imports libraries here as well; restart: replaces this program by another.
        """
        self._settings = settings
        self._entry = settings.app.partition(":")[0]
        self._address = address
        self._events = events
        self._files = files
        self._libraries = libraries
        self._look = look
        self._take_over = take_over
        self._restart = restart
        generation = state.generation if state else 0
        self._children = Children(events, forking, generation, on_message=self._on_message, on_exit=self._on_exit)
        self._processes = self._children.processes
        self._handover = Handover(self._processes, events, settings.graceful_timeout)
        self._pending = PendingChange(settings.app, map(Path, state.files) if state else (), began=time.monotonic())
        self._retry = Retry()
        self._failure: Failure | None = None
        self._has_served = bool(state and state.processes)
        # What the serving process has executed and read, and its modules that the last change has touched.
        self._record = Record()
        self._edited: set[str] = set()
        # Why the last change could not be swapped, and why the application never can.
        self._refusal = ""
        self._unfit = ""
        # Libraries that the application imported late.
        self._learned: list[str] = []
        # What the application has started when it was imported; with any of it, it never runs twice at a time.
        self._exclusive = state.exclusive if state else ""
        self._starts_when_alone = False
        # Why it did not start beside itself.
        self._conflict = ""
        self._is_stopping = False
        for fields in state.processes if state else ():
            self._children.take_over(fields)

    # --- start and end

    def start(self) -> None:
        """Import and serve the application."""
        # Children of a former parent may have ended meanwhile.
        self._children.reap()
        self._handover.hold()
        self._import()

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

    def leave(self) -> dict[str, Any]:
        """Give up all processes but those with requests; return them and what else the next parent is to know."""
        self._handover.resume(self._failure)
        files = sorted(map(str, self._pending.files))
        return {**self._children.leave(), "exclusive": self._exclusive, "files": files}

    def reap(self) -> None:
        """Take note of processes that have ended."""
        self._children.reap()

    def listen(self) -> None:
        """Take in what the processes have said by now."""
        self._children.listen()

    def describe(self) -> dict[str, Any]:
        """Return the state of all processes, for JSON."""
        serving = self._processes.serving
        return {
            "generation": serving.generation if serving else 0,
            "code": self._files.sources.digest,
            "failure": self._failure.as_json() if self._failure else None,
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
        self._events.cancel("retry")
        self._retry.forget()
        self._children.note_change(changed)
        self._children.kill(Role.STARTING)
        self._refusal = ""
        self._pending.add(changed, began, answer)
        self._handover.hold()
        names = frozenset(map(str, changed))
        self._edited = self._record.modules_of({name for name in names if self._files.sources.find(name)})
        self.act(
            Change(
                files=names,
                environment=self._files.environment(changed),
                libraries=self._libraries.edited(names),
            )
        )

    def unchanged(self, answer: Answer) -> None:
        """Answer for files that have come by another way already, and may not be served yet."""
        if self._is_importing:
            self._pending.wait(answer)
        else:
            answer(Outcome("unchanged"))

    def touched(self) -> None:
        """Take note that files were written whose content is as it was."""
        # Another tool may have replaced one just when it was imported.
        if self._retry.is_due:
            self._try_again()

    def act(self, change: Change) -> None:
        """Do what the policy says."""
        standby = self._processes.one(Role.STANDBY)
        find = self._files.sources.find
        errors = {name: source.error for name in change.files if (source := find(name)) and source.error}
        known = Known(
            broken=frozenset(errors),
            executed=self._record.digests.keys(),
            unserved=frozenset(self._pending.unserved),
            has_template=self._processes.one(Role.TEMPLATE) is not None,
            refusal=self._refusal,
            standby=self._record.reached_without(standby.deferred) if standby else None,
            missed=frozenset(filter(self._record.has_missed, self._pending.unserved)),
            is_outdated=bool(standby and standby.record.outdated()),
            is_single=bool(self._exclusive) or self._starts_when_alone,
        )
        decision = decide(change, known)
        if decision.way is Way.RESTART:
            self._restart(decision.reason)
        elif decision.way is Way.FAIL:
            self._fail(Failure.of(errors[min(errors.keys() & self._record.digests.keys())]))
        elif decision.way is Way.ONE_AT_A_TIME:
            self._start_when_alone()
        elif decision.way is Way.SWAP:
            self._start_copy(change)
        elif decision.way is Way.STANDBY and standby and self._children.send_change(standby, self._files.sources):
            self._expect(standby)
        elif decision.way is not Way.IGNORE:
            self._start()

    def _start_copy(self, change: Change) -> None:
        """Let a copy of the template take over the change, or bring it to the requests in another way."""
        sources = self._files.sources
        copy = self._processes.one(Role.COPY) or self._children.copy(sources, is_served=False)
        if copy and self._children.send_change(copy, sources):
            copy.change = change
            self._expect(copy)
        else:
            self._refuse(change, "the template has ended")

    def _refuse(self, change: Change, reason: str) -> None:
        self._refusal = reason
        self.act(change)

    # --- processes

    def _import(self) -> None:
        """Import all of the application, in its turn."""
        if self._exclusive:
            self._start_when_alone()
        else:
            self._start()

    def _start(self) -> None:
        """Fork a process that imports all of the application."""
        self._children.kill(Role.STANDBY)
        self._expect(self._children.start(self._record))

    def _start_when_alone(self) -> None:
        """Let what serves end, and fork a process once it has; requests wait meanwhile."""
        self._starts_when_alone = True
        # Nothing is made ready meanwhile, which would be there for as long as it is waited for.
        self._events.cancel("prepare")
        self._children.kill(Role.STANDBY, Role.TEMPLATE, Role.COPY)
        if serving := self._processes.serving:
            self._handover.drain(serving)
        self._start_if_alone()

    def _start_if_alone(self) -> None:
        if self._starts_when_alone and not self._processes:
            self._starts_when_alone = False
            self._start()

    def _expect(self, process: Process) -> None:
        seconds = self._settings.hold_timeout

        def remark() -> None:
            if process.role is Role.STARTING and self._processes.serving:
                report.log(f"{self._pending}: still starting after {seconds:g} s; the old code answers meanwhile")

        self._events.call_later("remark", seconds, remark)

    def _prepare(self) -> None:
        """Make ready for the next change: libraries that the application imported late, and a standby."""
        if self._processes.one(Role.STARTING):
            return
        learned, self._learned = self._learned, []
        self._take_over(learned)
        if not self._processes.one(Role.COPY):
            self._children.copy(self._files.sources, is_served=self._failure is None)
        if not self._settings.standby or self._exclusive or self._processes.one(Role.STANDBY):
            return
        graph = Graph(self._record, self._files.sources)
        # The entry in any case: it may read what it does not import, such as a digest of all files.
        edited = self._edited or graph.outermost(self._entry)
        deferred = graph.waiting({self._entry, *self._settings.fresh, *edited, *self._record.asking})
        if preimported := tuple(name for name in self._record.files if name not in deferred):
            self._children.stand_by(preimported, frozenset(deferred), self._record)

    def _on_message(self, process: Process, message: Message) -> None:
        if message.event == "failed":
            process.failure = Failure(**message.fields["failure"])
            process.failed_at_startup = message.fields["at_startup"]
        elif message.event == "stale":
            process.outdated |= set(message.fields["files"])
        elif message.event == "prepared":
            process.is_prepared = True
            process.record = Record.from_json(message.fields["record"])
            if message.fields["spoilt"] and process.role is Role.STANDBY:
                # It imports one of the modules that it should not, in a way that no import statement shows.
                process.kill()
        elif message.event == "refused":
            if process.role is Role.STARTING and process.change:
                self._children.withdraw(process)
                self._refuse(process.change, message.fields["reason"])
        elif message.event == "writes":
            self._files.sources.leave(Path(message.fields["path"]))
        elif message.event == "loaded" and process.role is Role.STARTING:
            self._promote(process, message.fields)
        else:
            self._handover.on_message(process, message)

    def _promote(self, process: Process, fields: dict[str, Any]) -> None:
        """Let a process serve in place of the one before, unless its code is old already."""
        self._look()
        if process.role is not Role.STARTING or not self._handover.promote(process):
            return
        self._events.cancel("remark")
        if process.is_fallback:
            return
        self._children.choose_template(process)
        self._report_success(process)
        if process.is_copy:
            executed = self._record.digests.keys() & set(fields["swapped"])
            find = self._files.sources.find
            self._record.digests |= {name: source.digest.hex() for name in executed if (source := find(name))}
        else:
            self._record = Record.from_json(fields["record"])
            self._learned += fields["learned"]
            self._note_exclusive(fields["exclusive"], fields["held"])
            self._note_unfit(fields.get("unfit", ""))
        self._failure = None
        self._events.cancel("retry")
        self._retry.forget()
        self._pending.succeed()
        self._events.call_later("prepare", _REST, self._prepare)
        if not process.is_copy:
            self.change(self._files.follow(self._record), time.monotonic())

    def _note_unfit(self, obstacle: str) -> None:
        if obstacle and not self._unfit:
            report.log(f"{self._settings.app} {obstacle} when it is imported, so each change is imported")
        self._unfit = obstacle

    def _note_exclusive(self, found: str, held: str) -> None:
        """Take note of what it has started when it was imported, and holds since its start."""
        reason = f"starts {found} when it is imported" if found else f"holds {held}" if held else self._conflict
        if reason and not self._exclusive:
            report.log(f"{self._settings.app} {reason}, so it runs in one process at a time")
        self._exclusive = reason

    def _report_success(self, process: Process) -> None:
        if self._has_served:
            way = "swapped" if process.is_copy else "standby" if process.was_standby else "imported"
            how = f"{way}: {self._refusal}" if self._refusal else way
            report.log(f"{self._pending}: reloaded in {self._pending.milliseconds} ms ({how})")
        else:
            self._has_served = True
            started = f"started in {self._pending.milliseconds} ms"
            report.log(f"serving {self._settings.app} on {self._address} ({started})")

    # --- failures

    def _fail(self, failure: Failure, *, is_known: bool = False) -> None:
        """Go on with the old code, or show the failure where there is none; without a word if it is known."""
        self._starts_when_alone = False
        self._failure = failure = failure.about(tuple(report.name(path) for path in sorted(self._pending.files)))
        self._events.cancel("remark")
        serving = self._processes.serving
        goes_on = serving is not None and not serving.is_fallback
        kept = "the old code serves on" if goes_on else f"nothing serves; {self._address} shows why"
        if not is_known:
            report.log(f"{self._pending}: not reloaded, {kept}")
            report.write(failure.traceback)
        self._pending.fail(failure.error)
        self._handover.resume(failure)
        if not goes_on and not is_known:
            self._expect(self._children.start(self._record, failure))
        self._events.call_later("prepare", _REST, self._prepare)

    def _fail_and_retry(self, process: Process, code: int) -> None:
        """Do the same for what a process has tried, and try again if that may help."""
        failure = process.failure or _ended(code)
        serving = self._processes.serving
        if is_conflict(failure.traceback) and serving and not serving.is_fallback:
            # Most likely with what serves, as under a server that lets the old process end first it would not be.
            self._conflict = f"needs what only one process can have ({failure.error})"
            self._start_when_alone()
            return
        # Also with the same consequence: what served may have ended meanwhile.
        is_known = self._retry.is_known(failure.error) and self._processes.serving is not None
        self._fail(failure, is_known=is_known)
        pause = self._retry.failed(failure.error, at_startup=process.failed_at_startup)
        if pause is not None:
            self._events.call_later("retry", pause, self._try_again)
        if process.failed_at_startup and not is_known:
            report.log(f"it is tried again in {pause:g} s, and then less and less often")

    @property
    def _is_importing(self) -> bool:
        """Whether the newest state is on its way to be served."""
        return any(not process.is_fallback for process in self._processes.with_role(Role.STARTING))

    def _try_again(self) -> None:
        """Import the present state once more."""
        if self._is_stopping or self._is_importing:
            return
        self._pending.begin_again()
        self._import()

    def _on_exit(self, process: Process, code: int) -> None:
        """Take note of the end of a process."""
        role = process.role
        process.become(Role.ENDING)
        if self._is_stopping:
            return
        self._start_if_alone()
        if role is Role.STARTING:
            if process.outdated or (process.was_standby and not process.is_prepared) or not process.pid:
                # What it had imported ahead was not as it should be; that says nothing about the change.
                if process.outdated:
                    names = report.files([Path(name) for name in process.outdated])
                    report.log(f"the prepared process had an older {names}; importing everything")
                self._start()
            elif not process.is_fallback:
                self._fail_and_retry(process, code)
        elif role is Role.SERVING and not self._processes.one(Role.STARTING) and not self._starts_when_alone:
            if process.age < _MINIMUM_UPTIME:
                self._fail(process.failure or _ended(code))
            else:
                report.log(f"the serving process ended {report.ending(code)}; starting another")
                self._pending.began = time.monotonic()
                self._start()


def _ended(code: int) -> Failure:
    text = f"the process ended {report.ending(code)}"
    return Failure(text, text)
