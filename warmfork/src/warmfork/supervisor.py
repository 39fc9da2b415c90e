"""The parent: holds the sockets and the libraries, watches the files, and forks a process for each change."""

import gc
import os
import selectors
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from warmfork.activation import Activation
from warmfork.channel import Channel, Message, close_all
from warmfork.child import Child
from warmfork.control import Control, Outcome
from warmfork.failure import Failure
from warmfork.graph import Graph, module_name
from warmfork.loader import Importer
from warmfork.packages import Packages, site_folders
from warmfork.preload import SERVER, Hazard, preload
from warmfork.process import Process, Role, pss
from warmfork.restart import State
from warmfork.settings import INCLUDES, Settings
from warmfork.sockets import bind
from warmfork.sources import Sources
from warmfork.status import Status
from warmfork.watcher import Watcher, WatchError

# Seconds after a reload in which the processor belongs to the requests that waited for it.
_REST = 0.15
# Seconds until a file that somebody was writing is looked at again, should its end not be told.
_UNFINISHED = 0.02
# Seconds without a further change that end an installation of packages.
_INSTALLATION = 0.5
# Seconds beyond its graceful time in which a process that leaves must have ended.
_PATIENCE = 2.0
# Processes that may be leaving at a time; of more, the oldest is ended.
_MOST_LEAVING = 4
# A process that dies younger than this many seconds is not replaced before the next change.
_INFANCY = 1.0
_SHOWN_FILES = 3


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
        # Watched first and read then, so that no change falls between.
        self._watcher = Watcher(trees, [*folders, *self._packages.folders])
        self._sources = Sources(trees, folders, includes, settings.reload_excludes)
        self._roots = [Path(entry).resolve() for entry in sys.path]
        self._importer = Importer(self._sources)
        sys.meta_path.insert(0, self._importer)
        self._selector = selectors.DefaultSelector()
        self._timers: dict[object, tuple[float, Callable[[], None]]] = {}
        self._processes: dict[int, Process] = {}
        self._generation = state.generation if state else 0
        self._skip = settings.no_preload | set(state.skip if state else ())
        self._failure: Failure | None = None
        self._changed: set[Path] = {Path(name) for name in state.files} if state else set()
        self._change_began = self._began
        self._answers: list[Callable[[Outcome], None]] = []
        self._hot: set[str] = set()
        self._order: list[str] = []
        self._edges: dict[str, list[str]] = {}
        self._learned: list[str] = []
        self._has_served = bool(state and state.processes)
        self._stopping = False
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

    # --- the loop

    def run(self) -> int:
        """Serve until told to stop; return the exit status."""
        wakeup = self._handle_signals()
        self.watch(self._watcher.fileno(), self._look)
        if self._settings.control:
            self._control = Control(self._settings.control, self._sources.trees, self)
        self._start()
        while self._processes or not self._stopping:
            for key, _ in self._selector.select(self._timeout()):
                # An earlier one may have ended this one.
                if key.fd in self._selector.get_map():
                    key.data()
            self._run_timers()
        if self._control:
            self._control.close()
        for end in wakeup:
            end.close()
        return 0

    def watch(self, descriptor: int, ready: Callable[[], None]) -> None:
        """Call when the descriptor can be read. A child closes every descriptor that is watched."""
        self._selector.register(descriptor, selectors.EVENT_READ, ready)

    def unwatch(self, descriptor: int) -> None:
        """Stop doing so."""
        self._selector.unregister(descriptor)

    def _timeout(self) -> float | None:
        if not self._timers:
            return None
        return max(0.0, min(due for due, _ in self._timers.values()) - time.monotonic())

    def _run_timers(self) -> None:
        now = time.monotonic()
        for key, (due, action) in list(self._timers.items()):
            # An action may have cancelled another.
            if due <= now and key in self._timers:
                del self._timers[key]
                action()

    def _later(self, key: object, seconds: float, action: Callable[[], None]) -> None:
        """Do it once in so many seconds; under the same key only the last request counts."""
        self._timers[key] = (time.monotonic() + seconds, action)

    def _handle_signals(self) -> tuple[socket.socket, socket.socket]:
        reading, writing = socket.socketpair()
        reading.setblocking(False)
        writing.setblocking(False)
        signal.set_wakeup_fd(writing.fileno())
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)

        def act() -> None:
            for number in reading.recv(4096):
                if number in {signal.SIGTERM, signal.SIGINT}:
                    self._stop()
                elif number == signal.SIGHUP:
                    self._restart("asked to by SIGHUP")
            self._reap()

        self.watch(reading.fileno(), act)
        return reading, writing

    # --- start and end

    def _start(self) -> None:
        libraries = self._graph().libraries(self._entry)
        self._preload([*SERVER, *libraries, *self._settings.preload])
        # Children of a former parent may have ended meanwhile.
        self._reap()
        self._hold()
        self._boot()

    def _preload(self, names: Iterable[str]) -> None:
        wanted = [name for name in names if not any(name == skip or name.startswith(f"{skip}.") for skip in self._skip)]
        hazards = preload(wanted, self._importer)
        if hazards:
            reasons = "; ".join(f"{hazard.module} {hazard.reason}" for hazard in hazards)
            self._restart(f"{reasons}; it will be imported in each child instead", hazards)

    def _restart(self, reason: str, hazards: Iterable[Hazard] = ()) -> None:
        """Replace this program. Processes that serve or leave go on meanwhile."""
        if self._stopping:
            return
        _log(f"restarting: {reason}")
        for process in self._with_role(Role.BOOTING, Role.STANDBY):
            process.kill()
        self._resume()
        kept = self._with_role(Role.SERVING, Role.LEAVING)
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
            for process in self._processes.values():
                process.kill()
        self._stopping = True
        self._timers.clear()
        for process in self._processes.values():
            if process.role in {Role.BOOTING, Role.STANDBY} or not process.channel.send("stop"):
                process.kill()
            self._limit(process)

    def _limit(self, process: Process) -> None:
        """End a process that does not end by itself in time."""
        self._later(process, self._settings.graceful_timeout + _PATIENCE, process.kill)

    # --- changes

    def _look(self) -> None:
        """Read what the watcher has to tell."""
        began = time.monotonic()
        paths = self._watcher.read()
        if self._control:
            self._control.put_back(paths, self._watcher.is_being_written)
            if self._watcher.has_more:
                self._later("look", 0.0, self._look)
        if any(self._packages.concerns(path) for path in paths):
            self._later("packages", _INSTALLATION, self._compare_packages)
        if changed := self._refresh(paths):
            self._change(changed, began)

    def reload(self, paths: set[Path], answer: Callable[[Outcome], None]) -> None:
        """Take notice of changed files, and answer when their effect is known."""
        began = time.monotonic()
        if changed := self._refresh(paths):
            self._change(changed, began, answer)
        else:
            answer(Outcome("unchanged"))

    def _refresh(self, paths: set[Path]) -> set[Path]:
        """Read the files again; return those that have changed."""
        changed = self._sources.refresh(paths)
        if not self._sources.is_complete:
            self._later("look", _UNFINISHED, self._look)
        return changed

    def _change(self, changed: set[Path], began: float, answer: Callable[[Outcome], None] | None = None) -> None:
        if self._stopping:
            return
        # What was superseded is part of this change, which began with the latest save.
        self._changed |= changed
        self._change_began = began
        if self._env_file in changed:
            self._restart(f"the environment file {_name(self._env_file)} has changed")
        standby = self._one(Role.STANDBY)
        for process in self._with_role(Role.STANDBY):
            process.missing |= changed
        for process in self._with_role(Role.BOOTING):
            process.role = Role.LEAVING
            process.kill()
        self._answer(Outcome("superseded"))
        if answer:
            self._answers.append(answer)
        self._hold()
        names = {path: module_name(path, self._roots) for path in changed}
        modules = {name or str(path) for path, name in names.items()}
        self._hot = {name for path, name in names.items() if name and self._sources.get(path)}
        if error := self._syntax_error(modules, changed):
            self._fail(Failure.of(error))
        elif standby and modules <= standby.behind and self._send_change(standby):
            standby.role = Role.BOOTING
            self._expect(standby)
        else:
            self._boot()

    def _syntax_error(self, modules: set[str], changed: set[Path]) -> Exception | None:
        """Return the error of a changed file that the application is known to import: no process need try."""
        if modules & set(self._order):
            for path in sorted(changed):
                source = self._sources.get(path)
                if source and source.error:
                    return source.error
        return None

    def _send_change(self, standby: Process) -> bool:
        """Tell a standby what has changed since it was forked."""
        self._generation += 1
        standby.generation = self._generation
        # Not os.memfd_create(): Pythons that are built for older systems do not have it.
        with tempfile.TemporaryFile() as packed:
            packed.write(self._sources.pack(standby.missing))
            packed.seek(0)
            return standby.channel.send("go", [packed.fileno()], generation=self._generation)

    def _compare_packages(self) -> None:
        if changes := self._packages.changes():
            self._restart(f"installed packages have changed: {', '.join(changes)}")

    # --- processes

    def _boot(self) -> None:
        """Fork a process that imports all of the application."""
        for process in self._with_role(Role.STANDBY):
            process.kill()
            process.role = Role.LEAVING
        self._generation += 1
        self._expect(self._fork(Role.BOOTING))

    def _expect(self, process: Process) -> None:
        seconds = self._settings.hold_timeout

        def remark() -> None:
            if process.role is Role.BOOTING and self._one(Role.SERVING):
                _log(f"{self._files()}: still starting after {seconds:g} s; the old code answers meanwhile")

        self._later("remark", seconds, remark)

    def _prepare(self) -> None:
        """Make ready for the next change: libraries that the application imported late, and a standby."""
        if self._with_role(Role.BOOTING):
            return
        learned, self._learned = self._learned, []
        self._preload(learned)
        if not self._settings.standby or self._with_role(Role.STANDBY):
            return
        graph = self._graph()
        # The entry in any case: it may read what it does not import, such as a digest of all files.
        behind = graph.dependents({self._entry, *(self._hot or graph.outermost(self._entry))})
        ahead = tuple(name for name in self._order if name not in behind)
        if ahead:
            self._fork(Role.STANDBY, ahead=ahead, behind=frozenset(behind))

    def _fork(
        self,
        role: Role,
        *,
        ahead: tuple[str, ...] = (),
        behind: frozenset[str] = frozenset(),
        failure: Failure | None = None,
    ) -> Process:
        mine, theirs = Channel.pair()
        status = Status(self._generation, serving=failure is None, failure=failure)
        serving = self._one(Role.SERVING)
        gc.disable()
        pid = os.fork()
        if not pid:
            mine.close()
            self._leave_parenthood()
            Child(
                settings=self._settings,
                channel=theirs,
                listener=self._listener,
                activation=self._activation,
                importer=self._importer,
                status=status,
                ahead=ahead,
                behind=behind,
                sibling=serving.pid if serving else 0,
                failure=failure,
            ).run()
        gc.enable()
        theirs.close()
        process = Process(pid, mine, role, self._generation, behind=behind, is_fallback=failure is not None)
        self._add(process)
        return process

    def _leave_parenthood(self) -> None:
        """In a child: let go of what belongs to the parent."""
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGIO):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        descriptors = [key.fd for key in self._selector.get_map().values()]
        # Closed without unregistering, which would reach the parent's selector through the shared descriptor.
        self._selector.close()
        close_all(descriptors)

    def _add(self, process: Process) -> None:
        self._processes[process.pid] = process
        self.watch(process.channel.fileno(), lambda: self._hear(process))

    def _with_role(self, *roles: Role) -> list[Process]:
        return [process for process in self._processes.values() if process.role in roles]

    def _one(self, role: Role) -> Process | None:
        return next(iter(self._with_role(role)), None)

    def _hear(self, process: Process) -> None:
        """Take in all that a process has said."""
        while process.channel.fileno() >= 0:
            try:
                message = process.channel.receive()
            except BlockingIOError:
                return
            if message is None:
                self.unwatch(process.channel.fileno())
                process.channel.close()
                return
            self._understand(process, message)

    def _understand(self, process: Process, message: Message) -> None:
        if message.event == "failed":
            process.failure = Failure(**message.fields)
        elif message.event == "prepared":
            process.is_prepared = True
            if message.fields["spoilt"]:
                # It imports one of the modules that it should not, in a way that no import statement shows.
                process.kill()
        elif message.event == "loaded" and process.role is Role.BOOTING:
            self._promote(process, message.fields)
        elif message.event == "idle":
            self._pass_on(message.descriptors)

    def _pass_on(self, descriptors: list[int]) -> None:
        """Give kept connections to the process that serves."""
        if serving := self._one(Role.SERVING):
            serving.channel.send("adopt", descriptors)
        close_all(descriptors)

    def _promote(self, process: Process, fields: dict[str, Any]) -> None:
        """Let a process serve in place of the one before, unless its code is old already."""
        self._look()
        if process.role is not Role.BOOTING:
            return
        before = self._one(Role.SERVING)
        if not process.channel.send("serve"):
            return
        process.role = Role.SERVING
        self._timers.pop("remark", None)
        if before:
            before.role = Role.LEAVING
            before.channel.send("leave")
            self._limit(before)
            for oldest in self._with_role(Role.LEAVING)[:-_MOST_LEAVING]:
                oldest.kill()
        if process.is_fallback:
            return
        self._order, self._edges = fields["order"], fields["edges"]
        self._learned += fields["learned"]
        self._report_success(process)
        self._failure = None
        self._changed.clear()
        self._answer(Outcome("reloaded"))
        self._later("prepare", _REST, self._prepare)

    def _report_success(self, process: Process) -> None:
        milliseconds = round(1_000 * (time.monotonic() - self._change_began))
        if self._has_served:
            how = " (standby)" if process.was_standby else ""
            _log(f"{self._files()}: reloaded in {milliseconds} ms{how}")
        else:
            self._has_served = True
            place = _place(self._listener)
            _log(f"serving {self._settings.app} on {place} (started in {milliseconds} ms)")

    def _fail(self, failure: Failure) -> None:
        """Go on with the old code, or show the failure where there is none."""
        self._failure = failure = failure.about(tuple(_name(path) for path in sorted(self._changed)))
        serving = self._one(Role.SERVING)
        goes_on = serving is not None and not serving.is_fallback
        kept = "the old code serves on" if goes_on else f"nothing serves; {_place(self._listener)} shows why"
        _log(f"{self._files()}: not reloaded, {kept}")
        _print(failure.traceback)
        self._changed.clear()
        self._answer(Outcome("failed", failure.error))
        self._resume()
        if not goes_on:
            self._expect(self._fork(Role.BOOTING, failure=failure))
        self._later("prepare", _REST, self._prepare)

    def _hold(self) -> None:
        """Let requests wait, so that none is answered by old code once another has seen the new."""
        if serving := self._one(Role.SERVING):
            serving.channel.send("hold")

    def _resume(self) -> None:
        if serving := self._one(Role.SERVING):
            serving.channel.send("resume", **(self._failure.as_json() if self._failure else {}))

    def _answer(self, outcome: Outcome) -> None:
        answers, self._answers = self._answers, []
        for answer in answers:
            answer(outcome)

    def _reap(self) -> None:
        """Take note of ended processes, also of orphans: this may be a container's first process."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if process := self._processes.get(pid):
                self._hear(process)
                if process.channel.fileno() >= 0:
                    self.unwatch(process.channel.fileno())
                    process.channel.close()
                del self._processes[pid]
                self._timers.pop(process, None)
                self._mourn(process, os.waitstatus_to_exitcode(status))

    def _mourn(self, process: Process, code: int) -> None:
        if self._stopping:
            return
        if process.role is Role.BOOTING:
            if process.was_standby and not process.is_prepared:
                # What it had imported ahead was not as it should be; that says nothing about the change.
                self._boot()
            elif not process.is_fallback:
                self._fail(process.failure or _ended(code))
        elif process.role is Role.SERVING and not self._with_role(Role.BOOTING):
            if process.age < _INFANCY:
                self._fail(process.failure or _ended(code))
            else:
                _log(f"the serving process ended {_ending(code)}; starting another")
                self._change_began = time.monotonic()
                self._boot()

    # --- descriptions

    def _graph(self) -> Graph:
        return Graph(self._sources, self._roots, self._edges)

    def describe(self) -> dict[str, Any]:
        """Return the state of all processes, for JSON."""
        serving = self._one(Role.SERVING)
        return {
            "generation": serving.generation if serving else 0,
            "code": self._sources.digest,
            "failure": self._failure.as_json() if self._failure else None,
            "processes": [
                {"role": "parent", "pid": os.getpid(), "pss_bytes": pss(os.getpid())},
                *(process.describe() for process in self._processes.values()),
            ],
        }

    def _files(self) -> str:
        names = [_name(path) for path in sorted(self._changed)]
        if len(names) > _SHOWN_FILES:
            return f"{names[0]} and {len(names) - 1} more"
        return ", ".join(names) or self._settings.app


def _name(path: Path | None) -> str:
    """Return the shortest way to name a file to a person."""
    if path is None:
        return ""
    return str(path.relative_to(Path.cwd())) if Path.cwd() in path.parents else str(path)


def _place(listener: socket.socket) -> str:
    address = listener.getsockname()
    return f"http://{address[0]}:{address[1]}" if isinstance(address, tuple) else str(address)


def _ending(code: int) -> str:
    return f"by signal {-code}" if code < 0 else f"with status {code}"


def _ended(code: int) -> Failure:
    text = f"the process ended {_ending(code)}"
    return Failure(text, text)


def _log(text: str) -> None:
    _print(f"warmfork: {text}")


def _print(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _load_environment(env_file: Path | None) -> None:
    if env_file is not None and env_file.exists():
        from dotenv import load_dotenv  # noqa: PLC0415 - not everybody has it

        load_dotenv(env_file)
