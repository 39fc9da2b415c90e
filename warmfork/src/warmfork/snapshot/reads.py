"""Notices what the application reads, lists and asks for while it is imported: whatever that is, it depends on it.

By Python's audit events, and in place of os.stat, for which there is none.
"""

import importlib.util
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from warmfork.audit import CAUSE, absolute, listen
from warmfork.snapshot import searches
from warmfork.snapshot.record import Record
from warmfork.snapshot.signature import signature, stat

_WRITING = os.O_WRONLY | os.O_RDWR
_LISTING = frozenset({"os.listdir", "os.scandir"})
# Answered by other programs, databases and persons.
_ASKING = frozenset(
    {
        "subprocess.Popen",
        "os.system",
        "os.posix_spawn",
        "os.fork",
        "sqlite3.connect",
        "socket.connect",
        "builtins.input",
    }
)
_LOADING = frozenset({"ctypes.dlopen", "import"})
# These name what there was before, and then what there is.
_NAMING = frozenset({"os.rename", "os.link", "os.symlink"})
_CHANGING = frozenset({"open", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"}) | _NAMING
_EVENTS = frozenset({"open"}) | _LISTING | _ASKING | _LOADING
# List folders to find modules, which searches.py notes.
_FINDERS = frozenset({"importlib._bootstrap_external", searches.__name__})
# The kernel's, which are no files of anybody's.
_KERNEL = ("/proc/", "/sys/", "/dev/")
_TERMINAL = "/dev/tty"
_BYTECODE = f"{os.sep}__pycache__{os.sep}"


class Reads:
    """Notes in a record what is read. It cannot be taken back, only told to stop."""

    def __init__(self, record: Record, is_installed: Callable[[str], bool], reader: Callable[[], str]) -> None:
        """Begin.

        is_installed: whether a file is of a library; reader: the module that is being executed.
        """
        self._record = record
        self._is_installed = is_installed
        self._reader = reader
        # By whom.
        self._written: dict[str, str] = {}
        # What was read while the application was imported, and has not been written since.
        self._unwritten: set[str] = set()
        self._on_write: Callable[[str], object] = bool
        # What has been read since, of what is to be told.
        self._read_since: set[str] = set()
        self._is_wanted: Callable[[str], bool] = bool
        self._on_read: Callable[[str], object] = bool
        self._is_active = True
        listen(_EVENTS, self._on_event)
        listen(_CHANGING, self._on_change)
        os.stat = self._stat

    def stop(
        self, *, on_write: Callable[[str], object], on_read: Callable[[str], object], is_wanted: Callable[[str], bool]
    ) -> None:
        """Note nothing more in the record.

        on_write: is told once of each path that was read and that this process now writes; on_read: of each that it
        reads from now on, where that is wanted.
        """
        self._is_wanted, self._on_read = is_wanted, on_read
        self._is_active = False
        os.stat = stat
        read = set[str]().union(*self._record.read.values()) & self._record.signatures.keys()
        self._unwritten = {path for path in read if not path.endswith(".py")}
        self._on_write = on_write

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Note nothing meanwhile, for it is not the application that acts."""
        was_active, self._is_active = self._is_active, False
        try:
            yield
        finally:
            self._is_active = was_active

    def _stat(self, path: Any, **options: Any) -> os.stat_result:  # noqa: ANN401 - as os.stat takes them
        if self._is_active and not isinstance(path, int) and options.get("dir_fd") is None:
            self._quietly(lambda: self._on_stat(path))
        return stat(path, **options)

    def _on_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._is_active:
            if event == "open" and not arguments[2] & _WRITING:
                self._note_late_read(arguments[0])
            return
        if event in _LISTING and sys._getframe(CAUSE).f_globals.get("__name__") in _FINDERS:  # noqa: SLF001
            return
        self._quietly(lambda: self._note(event, arguments))

    def _on_change(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and not arguments[2] & _WRITING:
            return
        if self._is_active:
            self._quietly(lambda: self._note_writing(arguments[0]))
            return
        if not self._unwritten:
            return
        with suppress(OSError, ValueError, TypeError):
            path = absolute(arguments[1 if event in _NAMING else 0])
            # Where it makes a new file, it changes what a folder lists.
            for one in self._unwritten & {path, os.path.dirname(path)}:  # noqa: PTH120
                self._unwritten.discard(one)
                self._on_write(one)

    def _note_late_read(self, path: Any) -> None:  # noqa: ANN401 - whatever one may open
        with suppress(OSError, ValueError, TypeError):
            if not isinstance(path, int) and (path := absolute(path)) not in self._read_since and self._is_wanted(path):
                self._read_since.add(path)
                self._on_read(path)

    def _note_writing(self, path: Any) -> None:  # noqa: ANN401 - whatever one may open
        # An open descriptor was told of when it was opened.
        if not isinstance(path, int) and _BYTECODE not in (path := absolute(path)) and self._is_ours(path):
            self._record.writing.add(self._reader())

    def _quietly(self, note: Callable[[], None]) -> None:
        # What is read from here on is read by this.
        self._is_active = False
        try:
            # A path may be none at all.
            with suppress(OSError, ValueError, TypeError):
                note()
        finally:
            self._is_active = True

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in _ASKING:
            if _is_answered_by_others(event, arguments):
                self._record.asking.add(self._reader())
        elif event == "open":
            path, _, flags = arguments
            self._on_open(path, flags)
        elif event in _LISTING:
            (path,) = arguments
            self._on_open("." if path is None else path, 0)
        else:
            path = arguments[0] if event == "ctypes.dlopen" else arguments[1]
            # A library without a folder is the system's.
            if path and os.sep in os.fsdecode(path):
                self._on_open(path, 0)

    def _on_open(self, path: Any, flags: int) -> None:  # noqa: ANN401 - whatever one may open
        if isinstance(path, int):
            path = os.readlink(f"/proc/self/fd/{path}")  # noqa: PTH115
        path = absolute(path)
        if path == _TERMINAL:
            self._record.asking.add(self._reader())
        if not self._is_ours(path):
            return
        if not flags & _WRITING:
            reader = self._reader()
            if path not in self._written:
                self._record.note_read(reader, source_file(path), signature(source_file(path)))
            elif self._written[path] != reader:
                self._record.imported[reader].add(self._written[path])
        elif _BYTECODE not in path:
            # What it writes itself is no reason to import it again.
            self._written[path] = self._reader()
            self._record.forget(path)

    def _on_stat(self, path: Any) -> None:  # noqa: ANN401 - as os.stat takes it
        path = absolute(path)
        # Of a folder it is asked whether there is one.
        if not self._is_ours(path) or path in self._written or os.path.isdir(path):  # noqa: PTH112
            return
        if state := signature(path):
            self._record.signatures.setdefault(path, state)
        else:
            # Were it there, it would be read.
            self._record.note_read(self._reader(), path, state)

    def _is_ours(self, path: str) -> bool:
        return not path.startswith(_KERNEL) and not self._is_installed(path)


def source_file(path: str) -> str:
    """Return the file of which this is the bytecode, or else the path itself."""
    if path.endswith(".pyc"):
        with suppress(ValueError):
            return importlib.util.source_from_cache(path)
    return path


def _is_answered_by_others(event: str, arguments: tuple[Any, ...]) -> bool:
    if event == "sqlite3.connect":
        return arguments[0] not in {":memory:", ""}
    if event == "socket.connect":
        return bool(arguments[0].type == socket.SOCK_STREAM)
    return True
