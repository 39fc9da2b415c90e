"""The parent's parts, and their life: its start, the files it watches, its signals, its restart and its end."""

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
from warmfork.child.seeds import Seeds
from warmfork.control.control import Control, Outcome
from warmfork.events import EventLoop
from warmfork.parent.files import Files
from warmfork.parent.forking import Forking
from warmfork.parent.libraries import Libraries
from warmfork.parent.policy import Change
from warmfork.parent.preload import Hazard
from warmfork.parent.processes import adopt_orphans
from warmfork.parent.reloader import Reloader
from warmfork.parent.restart import State
from warmfork.server.options import imported_late
from warmfork.server.versions import unknown_version
from warmfork.settings import Settings
from warmfork.snapshot.loader import Importer
from warmfork.snapshot.reading import read_environment_file
from warmfork.snapshot.territory import Territory
from warmfork.sockets import bind, url
from warmfork.watching.watcher import WatchError

# Seconds without a further change that end an installation of packages.
_INSTALLATION = 0.5


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
    """What happens around the application's processes. One thread, which waits in run() for whatever comes next."""

    def __init__(
        self,
        settings: Settings,
        listener: socket.socket,
        activation: Activation,
        environment: dict[str, str],
        state: State | None,
    ) -> None:
        """Read the files and begin to watch them.

        environment: for a restart; state: of a former parent. Raises WatchError.
        """
        self._settings = settings
        self._listener = listener
        self._activation = activation
        self._environment = environment
        self._events = EventLoop()
        self._files = Files(settings)
        territory = Territory(self._files.sources.trees, self._files.packages.folders)
        importer = Importer(self._files.sources, territory)
        importer.install()
        skip = settings.no_preload.union(state.skip if state else ())
        self._libraries = Libraries(importer, territory, skip)
        self._seeds = Seeds()
        self._files.follow_files(self._libraries.held.values())
        self._reloader = Reloader(
            settings,
            address=url(listener, settings),
            events=self._events,
            files=self._files,
            libraries=self._libraries,
            forking=Forking(
                settings,
                self._events,
                listener,
                activation,
                importer,
                territory,
                self._seeds,
                self._libraries.registered,
                self._libraries.check,
            ),
            state=state,
            look=self._look,
            gather=self._gather,
            take_over=self._take_over,
            restart=self._restart,
        )
        self._had_terminal = _has_terminal()
        self._control: Control | None = None
        # What the watcher has told and nobody has looked at.
        self._told: set[Path] = set()

    def run(self) -> int:
        """Serve until told to stop; return the exit status."""
        self._events.handle_signals((signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD), self._on_signal)
        self._events.watch(self._files.watcher.fileno(), self._look)
        self._look_again()
        adopt_orphans()
        if version := unknown_version():
            report.log(f"uvicorn {version} is not known yet: a reload ends kept connections instead of moving them")
        if self._settings.control:
            self._control = Control(self._settings.control, self._files.sources.trees, self, self._events)
        self._preload()
        self._reloader.start()
        self._events.run(lambda: self._reloader.has_ended)
        if self._control:
            self._control.close()
        self._events.close()
        return 0

    def _preload(self) -> None:
        # What else the application imports, a child imports first: an import may crash, hang or end its process.
        self._take_over([*imported_late(self._settings.uvicorn), *self._settings.preload])

    def _take_over(self, libraries: Iterable[str], limit: float | None = None) -> None:
        """Import libraries, and start anew without those that a fork cannot inherit. limit: seconds for each."""
        hazards = self._libraries.preload(libraries, self._reloader.pids, limit)
        self._events.keep_signals()
        self._seeds.find(also_frozen=True)
        if hazards:
            reasons = "; ".join(f"{hazard.module} {hazard.reason}" for hazard in hazards)
            self._restart(f"{reasons}; it will be imported in each child instead", hazards)

    def _on_signal(self, number: signal.Signals) -> None:
        if number in {signal.SIGTERM, signal.SIGINT}:
            self._reloader.stop()
        elif number == signal.SIGHUP and self._had_terminal and not _has_terminal():
            # Its window was closed.
            self._reloader.stop()
        elif number == signal.SIGHUP:
            self._restart("asked to by SIGHUP")
        self._reloader.reap()

    def _restart(self, reason: str, hazards: Iterable[Hazard] = ()) -> None:
        """Replace this program. Processes that serve or drain go on meanwhile."""
        if self._reloader.is_stopping:
            return
        report.log(f"restarting: {reason}")
        kept = self._reloader.leave()
        if self._control:
            self._control.close()
        self._events.leave_signals()
        State(
            listener=self._listener.fileno(),
            names=list(self._activation.names),
            skip=sorted({*self._libraries.skip, *(hazard.module.partition(".")[0] for hazard in hazards)}),
            **kept,
        ).restart(self._environment)

    # --- files

    def _look(self) -> None:
        """Read what the watcher has to tell."""
        began = time.monotonic()
        written = self._files.watcher.read()
        self._told |= written
        # Before a process that has read one of them tells that it has started.
        self._reloader.note_written(written)
        # A process tells before it writes. What it says may be a reason to look as well, for all that was told.
        self._reloader.listen()
        paths, self._told = self._told, set()
        if self._control:
            self._control.put_back(paths, self._files.watcher.is_being_written)
        packages = self._files.packages
        if any(map(packages.concerns, paths)):
            self._events.call_later("packages", _INSTALLATION, self._compare_packages)
        changed = self._files.sources.refresh(paths)
        self._look_again()
        if changed:
            self._reloader.change(changed, began)
        elif any(map(self._files.sources.concerns, paths)):
            self._reloader.touched()

    def _gather(self) -> None:
        """Read what the watcher has to tell by now, and look at it afterwards."""
        self._told |= self._files.watcher.read()
        if self._told:
            self._events.call_later("gathered", 0, self._look)

    def _look_again(self) -> None:
        """Look when there may be something to see without the watcher's descriptor being readable."""
        if (seconds := self._files.again_in) is not None:
            self._events.call_later("look", seconds, self._look)

    def _compare_packages(self) -> None:
        self._reloader.act(Change(packages=tuple(self._files.packages.changes())))

    # --- what a sender of files asks for

    def reload(self, paths: set[Path], answer: Callable[[Outcome], None]) -> None:
        """Take notice of changed files, and answer when their effect is known."""
        began = time.monotonic()
        changed = self._files.sources.refresh(paths)
        self._look_again()
        if changed:
            self._reloader.change(changed, began, answer)
        else:
            self._reloader.unchanged(answer)

    def describe(self) -> dict[str, Any]:
        """Return the state of all processes, for JSON."""
        return self._reloader.describe()


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
