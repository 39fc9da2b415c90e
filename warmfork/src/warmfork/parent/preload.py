"""Imports libraries into the parent, and notices those that must not be there when it forks."""

import gc
import importlib
import os
import signal
import socket
import sys
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from warmfork import report
from warmfork.child.exclusive import Exclusive
from warmfork.child.fitness import Holdings
from warmfork.parent.own import Own
from warmfork.snapshot.loader import Importer
from warmfork.threads import lost_by_a_fork

_DESCRIPTORS = Path("/proc/self/fd")
# Standard input, output and error. Were one missing, the next file or connection would come in its place.
_STANDARD = range(3)
# Seconds until an import that goes on in spite of an error is interrupted once more.
_AGAIN = 0.1


@dataclass(frozen=True)
class Hazard:
    """A library that cannot be inherited by a fork."""

    module: str
    reason: str


def preload(  # noqa: PLR0913 - what is known of them
    names: Iterable[str],
    importer: Importer,
    own: Own,
    *,
    bound: Collection[str],
    known: Collection[int],
    limit: float | None,
) -> list[Hazard]:
    """Import the modules. What cannot be imported here is left to the application, which may have its reasons.

    bound: packages that are to be imported by the application alone, and not by another library either; known:
    processes that no import has started; limit: seconds for each module.
    """
    hazards = []
    before = len(sys.modules)
    for name in names:
        if name in sys.modules:
            continue
        importer.refused.clear()
        modules = set(sys.modules)
        state = _State(known)
        own.begin()
        with suppress(BaseException), _interrupted_after(limit) as interruptions:
            importlib.import_module(name)
        hazards += [Hazard(name, reason) for reason in interruptions]
        # What it knows of them, it would know for ever.
        hazards += [Hazard(name, f"reads {report.name(Path(file))}") for file in own.end()]
        also = {module.partition(".")[0] for module in sys.modules.keys() - modules}.intersection(bound)
        hazards += [Hazard(name, f"imports {package}, which depends on the environment") for package in sorted(also)]
        hazards += [Hazard(name, f"executes the application's own {module}") for module in own.expel()]
        hazards += [Hazard(name, reason) for reason in state.take_back()]
        if importer.refused and name in sys.modules:
            # It goes on without them, in another way than it would in the application.
            hazards.append(Hazard(name, f"wants the application's own {min(importer.refused)}"))
    if len(sys.modules) > before:
        # Objects that no collection touches stay shared with the children.
        gc.collect()
        gc.freeze()
    return hazards


class _Interruption(BaseException):
    """This process must go on."""


@contextmanager
def _interrupted_after(limit: float | None) -> Iterator[list[str]]:
    """Interrupt what does not end in so many seconds, or would end this process; yield in words why that was done."""
    reasons: list[str] = []
    pid, end = os.getpid(), os._exit

    def interrupt(*_: object) -> None:
        reasons[:] = [f"is not imported here in {limit:.0f} s"]
        raise _Interruption

    def leave(code: int) -> None:
        if os.getpid() != pid:
            end(code)
        reasons[:] = ["ends its process here"]
        raise _Interruption

    handler = signal.signal(signal.SIGALRM, interrupt)
    os._exit = leave  # type: ignore[assignment]
    signal.setitimer(signal.ITIMER_REAL, limit or 0, _AGAIN)
    try:
        yield reasons
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        os._exit = end
        signal.signal(signal.SIGALRM, handler)


class _State:
    """What a fork would inherit, or this process could not go on with, if an import changed it."""

    def __init__(self, known: Collection[int]) -> None:
        """Take stock."""
        # First, for these are open, too.
        self._standard = {number: copy for number in _STANDARD if (copy := _copy(number)) is not None}
        self._threads = set(lost_by_a_fork())
        self._connections = set(_connections())
        self._holdings = Holdings()
        self._exclusive = Exclusive(known)
        self._signals = {number: signal.getsignal(number) for number in signal.valid_signals()}
        self._blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        self._directory = _working_directory()
        self._streams = sys.stdout, sys.stderr

    def take_back(self) -> list[str]:
        """Take back what has been changed since, as far as that is possible; return in words what it was."""
        reasons = []
        reasons += [f"started the thread {name}" for name in lost_by_a_fork() if name not in self._threads]
        reasons += [f"opened a connection to {peer}" for _, peer in sorted(set(_connections()) - self._connections)]
        reasons += [f"opens {words}" for words in dict.fromkeys(self._holdings.waited_for_since())]
        reasons += [f"holds {held}" for held in self._exclusive.held()]
        if processes := self._exclusive.processes():
            reasons.append(f"started {len(processes)} process{'es' if len(processes) > 1 else ''}")
            for pid in processes:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if (sys.stdout, sys.stderr) != self._streams:
            sys.stdout, sys.stderr = self._streams
            reasons.append("prints in its own way")
        reasons += self._take_back_standard_descriptors()
        return [*reasons, *self._take_back_signals(), *self._take_back_directory()]

    def _take_back_standard_descriptors(self) -> list[str]:
        changed = False
        for number, copy in self._standard.items():
            if not _is_same(number, copy):
                os.dup2(copy, number)
                changed = True
            os.close(copy)
        return ["closes or replaces a standard stream"] if changed else []

    def _take_back_signals(self) -> list[str]:
        changed = {number: handler for number, handler in self._signals.items() if signal.getsignal(number) != handler}
        for number, handler in changed.items():
            # None stands for a handler that is not Python's, and cannot be set again.
            if handler is not None:
                signal.signal(number, handler)
        blocked = signal.pthread_sigmask(signal.SIG_SETMASK, self._blocked)
        if blocked == self._blocked and not changed:
            return []
        names = sorted(signal.Signals(number).name for number in {*changed, *(blocked ^ self._blocked)})
        return [f"handles {', '.join(names)} in its own way"]

    def _take_back_directory(self) -> list[str]:
        if _working_directory() == self._directory:
            return []
        if self._directory is not None:
            with suppress(OSError):
                os.chdir(self._directory)
        return ["changes the working directory"]


def _working_directory() -> Path | None:
    """Return the working directory; None if it has been deleted."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        return None


def _copy(descriptor: int) -> int | None:
    """Return a copy that no program inherits; None if there is nothing to be copied."""
    try:
        return os.dup(descriptor)
    except OSError:
        return None


def _is_same(descriptor: int, other: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.fstat(other))
    except OSError:
        return False


def _connections() -> Iterable[tuple[str, str]]:
    """Yield this process's sockets that have a named peer: a database, a broker."""
    for descriptor in _DESCRIPTORS.iterdir():
        with suppress(OSError):
            target = str(descriptor.readlink())
            if not target.startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(descriptor.name))) as copy:
                peer = copy.getpeername()
            if isinstance(peer, tuple):
                yield target, f"{peer[0]}:{peer[1]}"
            elif peer:
                yield target, str(peer)
