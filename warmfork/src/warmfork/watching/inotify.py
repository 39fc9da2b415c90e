"""The kernel's own account of changes, inotify(7), without any meaning. Linux only."""

import ctypes
import errno
import os
import select
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

MODIFY, ATTRIB, CLOSE_WRITE, MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x2, 0x4, 0x8, 0x40, 0x80, 0x100, 0x200
OVERFLOW, IGNORED, IS_FOLDER = 0x4000, 0x8000, 0x40000000
_ONLY_FOLDER, _DO_NOT_FOLLOW, _ADD_TO_MASK = 0x01000000, 0x02000000, 0x20000000
# Attributes tell when a folder may be read.
_NAMES = MOVED_FROM | MOVED_TO | CREATE | DELETE | ATTRIB
_CONTENTS = MODIFY | CLOSE_WRITE
_EVENT = struct.Struct("iIII")
_BUFFER_BYTES = 1 << 16


class WatchError(Exception):
    """The kernel does not watch; the text says why and what helps."""


class Event(NamedTuple):
    """What happened to a name in the watched folder, or without a name to what is watched itself."""

    watch: int
    mask: int
    name: str


class Inotify:
    """One instance, whose descriptor can be read when there are events."""

    def __init__(self) -> None:
        """Watch nothing yet. Raises WatchError."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        if not hasattr(self._libc, "inotify_init1"):
            raise WatchError("this system has no inotify")
        self._descriptor: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            raise WatchError(explain(ctypes.get_errno()))

    def fileno(self) -> int:
        """Return the descriptor, for selectors."""
        return self._descriptor

    def close(self) -> None:
        """Stop watching."""
        os.close(self._descriptor)

    def add_folder(self, folder: Path, *, names_only: bool = False) -> int:
        """Watch what happens in a folder, or only which names come and go; return the watch. Raises OSError.

        It is the same for every path to the folder.
        """
        # Otherwise a path for which less is of interest would take from another.
        return self._add(folder, _ONLY_FOLDER | _ADD_TO_MASK | _NAMES | (0 if names_only else _CONTENTS))

    def add_file(self, file: Path) -> int:
        """Watch what is written to a file, by whatever name; return the watch. Raises OSError."""
        return self._add(file, MODIFY | CLOSE_WRITE | _DO_NOT_FOLLOW)

    def remove(self, watch: int) -> None:
        """End a watch; of one that has ended by itself nothing is said."""
        self._libc.inotify_rm_watch(self._descriptor, watch)

    def wait(self, seconds: float) -> bool:
        """Return whether there is an event within the time."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(1_000 * seconds))

    def read(self) -> Iterator[Event]:
        """Yield the events that there are."""
        while True:
            try:
                buffer = os.read(self._descriptor, _BUFFER_BYTES)
            except BlockingIOError:
                return
            position = 0
            while position < len(buffer):
                watch, mask, _, length = _EVENT.unpack_from(buffer, position)
                position += _EVENT.size
                yield Event(watch, mask, os.fsdecode(buffer[position : position + length].rstrip(b"\0")))
                position += length

    def _add(self, path: Path, mask: int) -> int:
        watch: int = self._libc.inotify_add_watch(self._descriptor, os.fsencode(path), mask)
        if watch < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
        return watch


def explain(number: int | None) -> str:
    """Return why the kernel does not watch, and what helps."""
    if number == errno.EMFILE:
        return "no inotify instance is left; raise the limit: sysctl fs.inotify.max_user_instances=512"
    if number == errno.ENOSPC:
        return "no inotify watch is left; raise the limit: sysctl fs.inotify.max_user_watches=524288"
    return os.strerror(number or 0)
