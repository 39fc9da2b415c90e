"""Notices which files and folders the application reads while it is imported, by Python's audit events."""

import os
import stat
import sys
import zlib
from collections.abc import Callable
from typing import Any

from warmfork.snapshot.record import Record

_WRITING = os.O_WRONLY | os.O_RDWR
_LISTING = ("os.listdir", "os.scandir")
# Reads its own folders to find modules, which the importer does from the snapshot.
_IMPORT_SYSTEM = "importlib._bootstrap_external"


def signature(path: str) -> list[int]:
    """Return what changes with a file (inode, size, times) or a folder (names in it); nothing where there is none."""
    try:
        status = os.stat(path)  # noqa: PTH116 - called for each file that is opened
    except OSError:
        return []
    if stat.S_ISDIR(status.st_mode):
        return [zlib.crc32("\0".join(sorted(names(path))).encode(errors="surrogateescape"))]
    return [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def names(folder: str) -> frozenset[str]:
    """Return the names in a folder, without those that tools and editors put there for themselves."""
    try:
        found = os.listdir(folder)  # noqa: PTH208 - called for each folder that is listed
    except OSError:
        return frozenset()
    return frozenset(name for name in found if name != "__pycache__" and not name.startswith(".") and name[-1] != "~")


class Reads:
    """Notes in a record what is read below some folders. It cannot be taken back, only told to stop."""

    def __init__(self, record: Record, is_ours: Callable[[str], bool], reader: Callable[[], str | None]) -> None:
        """Begin.

        is_ours: whether a file lies where the application's files are; reader: the module that is being executed.
        """
        self._record = record
        self._is_ours = is_ours
        self._reader = reader
        self._written: set[str] = set()
        self._is_active = True
        sys.addaudithook(self._note)

    def stop(self) -> None:
        """Note nothing more."""
        self._is_active = False

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
        elif event in _LISTING:
            (path,), flags = arguments, 0
        else:
            return
        if not self._is_active or (name := self._reader()) is None:
            return
        # What is read from here on is read by this.
        self._is_active = False
        try:
            self._note_path(name, path, flags)
        finally:
            self._is_active = True

    def _note_path(self, name: str, path: Any, flags: int) -> None:  # noqa: ANN401 - whatever one may open
        path = "." if path is None else path
        if isinstance(path, int):
            return
        path = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - called for each file that is opened
        if not self._is_ours(path) or sys._getframe(2).f_globals.get("__name__") == _IMPORT_SYSTEM:  # noqa: SLF001
            return
        if flags & _WRITING:
            # What it writes itself is no reason to import it again.
            self._written.add(path)
            self._forget(path)
        elif path not in self._written:
            self._record.read[name].add(path)
            self._record.signatures.setdefault(path, signature(path))

    def _forget(self, path: str) -> None:
        self._record.signatures.pop(path, None)
        for paths in self._record.read.values():
            paths.discard(path)
