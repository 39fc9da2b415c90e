"""The parent: holds the sockets and the libraries, watches the files, and forks a process for each change."""

import io
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from warmfork import report
from warmfork.activation import Activation
from warmfork.channel import MAXIMUM_DESCRIPTORS, Channel, Message, close_all
from warmfork.control import Control, Outcome
from warmfork.events import EventLoop
from warmfork.failure import Failure
from warmfork.forking import Forking
from warmfork.graph import Graph, libraries
from warmfork.loader import Importer
from warmfork.memory import memory_file
from warmfork.options import imported_late
from warmfork.packages import Packages, site_folders
from warmfork.patterns import included_folders
from warmfork.policy import Change, Known, Way, decide
from warmfork.preload import SERVER, Hazard, preload
from warmfork.processes import Process, Processes, Role, pss
from warmfork.reading import read_environment_file
from warmfork.reads import signature
from warmfork.record import Record
from warmfork.restart import State
from warmfork.retry import Retry
from warmfork.seeds import Seeds
from warmfork.settings import INCLUDES, Settings
from warmfork.sockets import bind, url
from warmfork.sources import Sources
from warmfork.territory import Territory
from warmfork.watcher import Watcher, WatchError

# Seconds after a reload in which the processor belongs to the requests that waited for it.
_REST = 0.15
# Seconds until a file that somebody was writing is looked at again, should its end not be told.
_UNFINISHED = 0.02
# Seconds without a further change that end an installation of packages.
_INSTALLATION = 0.5
# Seconds beyond its graceful time in which a process that drains must have ended.
_PATIENCE = 2.0
# Processes that may drain at a time; of more, the oldest is ended.
_MOST_DRAINING = 4
# A process that ends before it is so many seconds old is not replaced before the next change.
_MINIMUM_UPTIME = 1.0


def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; return the exit status. Raises SettingsError, WatchError."""
    environment = dict(os.environ)
    state = State.inherited()
    environment.pop("WARMFORK_STATE", None)
    _load_environment(settings.env_file)
    sys.path.insert(0, str(settings.app_dir.resolve()))
    listener, activation = bind(settings, state)
    try:
        supervisor = Supervisor(settings, listener, activation, environment, state)
    except WatchError:
        # Whatever serves instead will want the addresses.
        listener.close()
        activation.close()
        raise
    return supervisor.run()


class Supervisor:
    """All processes and what happens to them. One thread, which waits in run() for whatever comes next."""

    def __init__(
        self,
        settings: Settings,
        listener: socket.socket,
        activation: Activation,
        environment: dict[str, str],
        state: State | None,
    ) -> None:
        """Read the files and begin to watch them. Raises WatchError."""
        self._began = time.monotonic()
        self._settings = settings
        self._entry = settings.app.partition(":")[0]
        self._listener = listener
        self._activation = activation
        self._environment = environment
        trees = [folder.resolve() for folder in settings.reload_dirs]
        env_file = settings.env_file and settings.env_file.resolve()
        folders = [folder for folder in {Path.cwd(), *([env_file.parent] if env_file else [])} if folder not in trees]
        includes = (*INCLUDES, *settings.reload_includes, *([env_file.name] if env_file else []))
        self._env_file = env_file
        self._packages = Packages(site_folders())
        included = included_folders(settings.reload_includes, trees)
        included_trees = [folder.path for folder in included if folder.is_tree]
        folders_of_files = [*folders, *(folder.path for folder in included if not folder.is_tree)]
        # Watched first and read then, so that no change falls between.
        self._watcher = Watcher([*trees, *included_trees], [*folders_of_files, *self._packages.folders])
        self._sources = Sources(trees, folders, includes, settings.reload_excludes)
        self._territory = Territory(trees)
        self._importer = Importer(self._sources, self._territory)
        self._importer.install()
        self._events = EventLoop()
        self._processes = Processes()
        self._forking = Forking(settings, self._events, listener, activation, self._importer, self._territory, Seeds())
        self._generation = state.generation if state else 0
        self._skip = settings.no_preload | set(state.skip if state else ())
        self._failure: Failure | None = None
        self._retry = Retry()
        # Whose change did not start.
        self._refused: set[Path] = set()
        # Files that have changed since the code that serves was saved.
        self._unserved: set[str] = set()
        self._changed: set[Path] = {Path(name) for name in state.files} if state else set()
        self._change_began = self._began
        self._answers: list[Callable[[Outcome], None]] = []
        # Modules that the last change has touched, and what the serving process has executed and read.
        self._edited: set[str] = set()
        self._record = Record()
        self._learned: list[str] = []
        # What the application has started when it was imported; with any of it, it never runs twice at a time.
        self._exclusive = ""
        self._starts_when_alone = False
        # Kept connections that wait for a process that serves.
        self._idle: list[int] = []
        # Files of libraries that this process has imported and that somebody may work on, by the module's name.
        self._held: dict[str, str] = {}
        self._has_served = bool(state and state.processes)
        self._stopping = False
        self._had_terminal = _has_terminal()
        self._control: Control | None = None
        for process in state.processes if state else ():
            self._add(
                Process(
                    process["pid"],
                    Channel(socket.socket(fileno=process["channel"])),
                    Role(process["role"]),
                    process["generation"],
                    is_fallback=process["is_fallback"],
                )
            )

    # --- start and end

    def run(self) -> int:
        """Serve until told to stop; return the exit status."""
        self._events.handle_signals((signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD), self._on_signal)
        self._events.watch(self._watcher.fileno(), self._look)
        self._look_again()
        if self._settings.control:
            self._control = Control(self._settings.control, self._sources.trees, self)
        roots = [Path(entry).resolve() for entry in sys.path]
        server = [*SERVER, *imported_late(self._settings.uvicorn)]
        self._preload([*server, *libraries(self._entry, self._sources, roots), *self._settings.preload])
        self._follow_libraries()
        # Children of a former parent may have ended meanwhile.
        self._processes.reap(self._on_exit)
        self._hold()
        self._start()
        self._events.run(lambda: self._stopping and not self._processes)
        if self._control:
            self._control.close()
        self._events.close()
        return 0

    def _on_signal(self, number: signal.Signals) -> None:
        if number in {signal.SIGTERM, signal.SIGINT}:
            self._stop()
        elif number == signal.SIGHUP and self._had_terminal and not _has_terminal():
            # Its window was closed.
            self._stop()
        elif number == signal.SIGHUP:
            self._restart("asked to by SIGHUP")
        self._processes.reap(self._on_exit)

    def _preload(self, names: Iterable[str]) -> None:
        wanted = [name for name in names if not any(name == skip or name.startswith(f"{skip}.") for skip in self._skip)]
        before = set(sys.modules)
        hazards = preload(wanted, self._importer)
        for name in sys.modules.keys() - before:
            file = getattr(sys.modules[name], "__file__", None)
            if file and not self._territory.is_installed(file):
                self._held[name] = str(Path(file).resolve())
        if hazards:
            reasons = "; ".join(f"{hazard.module} {hazard.reason}" for hazard in hazards)
            self._restart(f"{reasons}; it will be imported in each child instead", hazards)

    def _restart(self, reason: str, hazards: Iterable[Hazard] = ()) -> None:
        """Replace this program. Processes that serve or drain go on meanwhile."""
        if self._stopping:
            return
        report.log(f"restarting: {reason}")
        for process in self._processes.with_role(Role.STARTING, Role.STANDBY):
            process.kill()
        self._resume()
        kept = self._processes.with_role(Role.SERVING, Role.DRAINING)
        if self._control:
            self._control.close()
        State(
            listener=self._listener.fileno(),
            names=list(self._activation.names),
            processes=[
                {
                    "pid": process.pid,
                    "channel": process.channel.fileno(),
                    "role": process.role.value,
                    "generation": process.generation,
                    "is_fallback": process.is_fallback,
                }
                for process in kept
            ],
            generation=self._generation,
            skip=sorted({*self._skip, *(hazard.module for hazard in hazards)}),
            files=sorted(str(path) for path in self._changed),
        ).restart(self._environment)

    def _stop(self) -> None:
        if self._stopping:
            # Asked twice: whoever asks is in a hurry.
            for process in self._processes:
                process.kill()
        self._stopping = True
        self._events.cancel_all()
        for process in self._processes:
            process.is_prompting = False
            if process.role in {Role.STARTING, Role.STANDBY} or not process.channel.send("stop"):
                process.kill()
            self._limit(process)

    def _limit(self, process: Process) -> None:
        """End a process that does not end by itself in time, unless a person is at its prompt."""
        if process.is_prompting:
            self._events.cancel(process)
            report.log(f"process {process.pid} runs the old code on until its prompt is left")
            return
        self._events.call_later(process, self._settings.graceful_timeout + _PATIENCE, process.kill)

    def watch(self, descriptor: int, ready: Callable[[], None]) -> None:
        """Call when the descriptor can be read."""
        self._events.watch(descriptor, ready)

    def unwatch(self, descriptor: int) -> None:
        """Stop doing so."""
        self._events.unwatch(descriptor)

    def later(self, key: object, seconds: float, action: Callable[[], None]) -> None:
        """Call once in so many seconds; under the same key only the last request counts."""
        self._events.call_later(key, seconds, action)

    # --- changes

    def _look(self) -> None:
        """Read what the watcher has to tell."""
        began = time.monotonic()
        paths = self._watcher.read()
        if self._control:
            self._control.put_back(paths, self._watcher.is_being_written)
        self._look_again()
        if any(self._packages.concerns(path) for path in paths):
            self._events.call_later("packages", _INSTALLATION, self._compare_packages)
        changed = self._refresh(paths)
        self._change(changed, began)
        if not changed and self._retry.is_due and any(map(self._sources.concerns, paths)):
            # Equal content, which another tool may have replaced just when it was imported.
            self._try_again()

    def _look_again(self) -> None:
        """Look when the watcher wants to be asked, though its descriptor may not be readable."""
        if (seconds := self._watcher.again_in) is not None:
            self._events.call_later("look", seconds, self._look)

    def reload(self, paths: set[Path], answer: Callable[[Outcome], None]) -> None:
        """Take notice of changed files, and answer when their effect is known."""
        began = time.monotonic()
        if changed := self._refresh(paths):
            self._change(changed, began, answer)
        elif self._is_importing:
            # It has come by another way, and is not served yet.
            self._answers.append(answer)
        else:
            answer(Outcome("unchanged"))

    def _refresh(self, paths: set[Path]) -> set[Path]:
        """Read the files again; return those that have changed."""
        changed = self._sources.refresh(paths)
        if not self._sources.is_complete:
            self._events.call_later("unfinished", _UNFINISHED, self._look)
        return changed

    def _compare_packages(self) -> None:
        self._act(Change(packages=tuple(self._packages.changes())))

    def _change(self, changed: set[Path], began: float, answer: Callable[[Outcome], None] | None = None) -> None:
        if self._stopping or not changed:
            return
        self._events.cancel("retry")
        self._retry.forget()
        # What was superseded is part of this change, which began with the latest save.
        self._changed |= changed
        self._change_began = began
        for process in self._processes.with_role(Role.STANDBY):
            process.stale |= changed
        for process in self._processes.with_role(Role.STARTING):
            process.kill()
        self._answer(Outcome("superseded"))
        if answer:
            self._answers.append(answer)
        self._hold()
        names = frozenset(map(str, changed))
        self._unserved |= names
        self._edited = self._record.modules_of({name for name in names if self._sources.find(name)})
        environment = report.name(self._env_file) if self._env_file in changed else ""
        edited = tuple(name for name, file in self._held.items() if file in names)
        self._act(Change(files=names, environment=environment, libraries=edited))

    def _act(self, change: Change) -> None:
        """Do what the policy says."""
        standby = self._processes.one(Role.STANDBY)
        errors = {name: source.error for name in change.files if (source := self._sources.find(name)) and source.error}
        known = Known(
            broken=frozenset(errors),
            executed=self._record.digests.keys(),
            unserved=frozenset(self._unserved),
            standby=self._executed_by(standby) if standby else None,
            is_single=bool(self._exclusive),
        )
        decision = decide(change, known)
        if decision.way is Way.RESTART:
            self._skip |= set(change.libraries)
            self._restart(decision.reason)
        elif decision.way is Way.FAIL:
            self._fail(Failure.of(errors[min(errors.keys() & self._record.digests.keys())]))
        elif decision.way is Way.ONE_AT_A_TIME:
            self._start_when_alone()
        elif decision.way is not Way.IGNORE and not (
            decision.way is Way.STANDBY and standby and self._send_change(standby)
        ):
            self._start()

    def _executed_by(self, standby: Process) -> set[str]:
        """Return what a standby has executed or read, or will have."""
        names = self._record.files.keys() - standby.deferred
        read = {path for name in names for path in self._record.read.get(name, ())}
        return {self._record.files[name] for name in names} | read

    def _send_change(self, standby: Process) -> bool:
        """Tell a standby what has changed since it was forked; return whether it will start."""
        self._generation += 1
        standby.generation = self._generation
        try:
            packed = memory_file(self._sources.pack(standby.stale))
        except OSError:
            return False
        files = sorted(map(str, standby.stale))
        try:
            if not standby.channel.send("go", [packed], generation=self._generation, files=files):
                return False
        finally:
            os.close(packed)
        standby.become(Role.STARTING)
        self._expect(standby)
        return True

    # --- processes

    def _start(self) -> None:
        """Fork a process that imports all of the application."""
        for process in self._processes.with_role(Role.STANDBY):
            process.kill()
        self._generation += 1
        self._expect(self._fork(Role.STARTING))

    def _start_when_alone(self) -> None:
        """Let what serves end, and fork a process once it has; requests wait meanwhile."""
        self._starts_when_alone = True
        if serving := self._processes.serving:
            self._drain(serving)
        self._start_if_alone()

    def _start_if_alone(self) -> None:
        if self._starts_when_alone and not self._processes:
            self._starts_when_alone = False
            self._start()

    def _drain(self, process: Process) -> None:
        """Let a process finish what is under way."""
        process.become(Role.DRAINING)
        process.channel.send("leave")
        self._limit(process)
        for oldest in self._processes.with_role(Role.DRAINING)[:-_MOST_DRAINING]:
            if not oldest.is_prompting:
                oldest.kill()

    def _expect(self, process: Process) -> None:
        seconds = self._settings.hold_timeout

        def remark() -> None:
            if process.role is Role.STARTING and self._processes.serving:
                report.log(f"{self._files()}: still starting after {seconds:g} s; the old code answers meanwhile")

        self._events.call_later("remark", seconds, remark)

    def _prepare(self) -> None:
        """Make ready for the next change: libraries that the application imported late, and a standby."""
        if self._processes.one(Role.STARTING):
            return
        learned, self._learned = self._learned, []
        self._preload(learned)
        self._follow_libraries()
        if not self._settings.standby or self._exclusive or self._processes.one(Role.STANDBY):
            return
        graph = Graph(self._record, self._sources)
        # The entry in any case: it may read what it does not import, such as a digest of all files.
        deferred = graph.dependents({self._entry, *(self._edited or graph.outermost(self._entry))})
        preimported = tuple(name for name in self._record.files if name not in deferred)
        if preimported:
            self._fork(Role.STANDBY, preimported=preimported, deferred=frozenset(deferred))

    def _fork(
        self,
        role: Role,
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
            before=self._record,
            sibling=self._processes.serving,
        )
        self._add(process)
        return process

    def _add(self, process: Process) -> None:
        self._processes.add(process)
        self._events.watch(process.channel.fileno(), lambda: self._on_readable(process))

    def _on_readable(self, process: Process) -> None:
        """Take in all that a process has said."""
        while process.channel.fileno() >= 0:
            try:
                message = process.channel.receive()
            except BlockingIOError:
                return
            if message is None:
                self._events.unwatch(process.channel.fileno())
                process.channel.close()
                return
            self._on_message(process, message)

    def _on_message(self, process: Process, message: Message) -> None:
        if message.event == "failed":
            process.failure = Failure(**message.fields["failure"])
            process.failed_at_startup = message.fields["at_startup"]
        elif message.event == "stale":
            process.outdated |= set(message.fields["files"])
        elif message.event == "prepared":
            process.is_prepared = True
            if message.fields["spoilt"] and process.role is Role.STANDBY:
                # It imports one of the modules that it should not, in a way that no import statement shows.
                process.kill()
        elif message.event == "loaded" and process.role is Role.STARTING:
            self._promote(process, message.fields)
        elif message.event == "idle":
            self._pass_on(message.descriptors)
        elif message.event == "prompting":
            process.is_prompting = bool(message.fields["active"])
            if process.role is Role.DRAINING:
                self._limit(process)

    def _pass_on(self, descriptors: list[int]) -> None:
        """Give kept connections to the process that serves."""
        if serving := self._processes.serving:
            serving.channel.send("adopt", descriptors)
            close_all(descriptors)
        else:
            self._idle += descriptors

    def _promote(self, process: Process, fields: dict[str, Any]) -> None:
        """Let a process serve in place of the one before, unless its code is old already."""
        self._look()
        if process.role is not Role.STARTING:
            return
        before = self._processes.serving
        if not process.channel.send("serve"):
            return
        process.become(Role.SERVING)
        self._events.cancel("remark")
        if before:
            self._drain(before)
        idle, self._idle = self._idle, []
        for start in range(0, len(idle), MAXIMUM_DESCRIPTORS):
            self._pass_on(idle[start : start + MAXIMUM_DESCRIPTORS])
        if process.is_fallback:
            return
        self._record = Record.from_json(fields["record"])
        self._learned += fields["learned"]
        self._report_success(process)
        self._note_exclusive(fields["exclusive"])
        self._failure = None
        self._events.cancel("retry")
        self._retry.forget()
        self._changed.clear()
        self._unserved.clear()
        self._answer(Outcome("reloaded"))
        self._events.call_later("prepare", _REST, self._prepare)
        self._follow()

    def _note_exclusive(self, found: str) -> None:
        if found and not self._exclusive:
            report.log(f"{self._settings.app} starts {found} when it is imported, so it runs in one process at a time")
        self._exclusive = found

    def _follow(self) -> None:
        """From now on watch what the application has read while it was imported."""
        began = time.monotonic()
        for folder in {Path(name).parent for name in self._record.signatures}:
            self._watcher.add_folder(folder)
        self._change(self._sources.follow(self._record.signatures), began)

    def _follow_libraries(self) -> None:
        """Notice when a library is edited that this process holds."""
        for file in self._held.values():
            self._watcher.add_folder(Path(file).parent)
        self._sources.follow({file: signature(file) for file in self._held.values()})

    def _report_success(self, process: Process) -> None:
        milliseconds = round(1_000 * (time.monotonic() - self._change_began))
        if self._has_served:
            how = " (standby)" if process.was_standby else ""
            report.log(f"{self._files()}: reloaded in {milliseconds} ms{how}")
        else:
            self._has_served = True
            place = url(self._listener, self._settings)
            report.log(f"serving {self._settings.app} on {place} (started in {milliseconds} ms)")

    def _fail_and_retry(self, process: Process, code: int) -> None:
        """Do the same for what a process has tried, and try again if that may help."""
        failure = process.failure or _ended(code)
        serving = self._processes.serving
        # Also with the same consequence: what served may have ended meanwhile.
        is_known = self._retry.is_known(failure.error) and serving is not None
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
        if self._stopping or self._is_importing:
            return
        self._changed |= self._refused
        self._change_began = time.monotonic()
        if self._exclusive:
            self._start_when_alone()
        else:
            self._start()

    def _fail(self, failure: Failure, *, is_known: bool = False) -> None:
        """Go on with the old code, or show the failure where there is none; without a word if it is known."""
        self._failure = failure = failure.about(tuple(report.name(path) for path in sorted(self._changed)))
        self._refused = set(self._changed)
        self._events.cancel("remark")
        serving = self._processes.serving
        goes_on = serving is not None and not serving.is_fallback
        place = url(self._listener, self._settings)
        kept = "the old code serves on" if goes_on else f"nothing serves; {place} shows why"
        if not is_known:
            report.log(f"{self._files()}: not reloaded, {kept}")
            report.write(failure.traceback)
        self._changed.clear()
        self._answer(Outcome("failed", failure.error))
        self._resume()
        if not goes_on and not is_known:
            self._expect(self._fork(Role.STARTING, failure=failure))
        self._events.call_later("prepare", _REST, self._prepare)

    def _hold(self) -> None:
        """Let requests wait, so that none is answered by old code once another has seen the new."""
        if serving := self._processes.serving:
            serving.channel.send("hold")

    def _resume(self) -> None:
        if serving := self._processes.serving:
            serving.channel.send("resume", **(self._failure.as_json() if self._failure else {}))

    def _answer(self, outcome: Outcome) -> None:
        answers, self._answers = self._answers, []
        for answer in answers:
            answer(outcome)

    def _on_exit(self, process: Process, code: int) -> None:
        """Take note of the end of a process."""
        self._on_readable(process)
        if process.channel.fileno() >= 0:
            self._events.unwatch(process.channel.fileno())
            process.channel.close()
        self._events.cancel(process)
        role = process.role
        process.become(Role.ENDING)
        if self._stopping:
            return
        self._start_if_alone()
        if role is Role.STARTING:
            if process.was_standby and (process.outdated or not process.is_prepared):
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
                self._change_began = time.monotonic()
                self._start()

    # --- descriptions

    def describe(self) -> dict[str, Any]:
        """Return the state of all processes, for JSON."""
        serving = self._processes.serving
        return {
            "generation": serving.generation if serving else 0,
            "code": self._sources.digest,
            "failure": self._failure.as_json() if self._failure else None,
            "processes": [
                {"role": "parent", "pid": os.getpid(), "pss_bytes": pss(os.getpid())},
                *(process.describe() for process in self._processes),
            ],
        }

    def _files(self) -> str:
        return report.files(self._changed) or self._settings.app


def _ended(code: int) -> Failure:
    text = f"the process ended {report.ending(code)}"
    return Failure(text, text)


def _has_terminal() -> bool:
    """Tell whether this process belongs to a terminal that is there."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _load_environment(env_file: Path | None) -> None:
    if env_file is None:
        return
    try:
        text = read_environment_file(env_file)
    except OSError as error:
        report.log(f"--env-file {report.name(env_file)} cannot be read: {error.strerror}; it is left out")
        return
    if text is not None:
        from dotenv import load_dotenv  # noqa: PLC0415 - not everybody has it

        load_dotenv(stream=io.StringIO(text))
