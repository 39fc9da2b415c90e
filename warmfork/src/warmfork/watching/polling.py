"""Folders that the kernel does not watch, looked at over and over."""

import contextlib
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from warmfork.watching.inotify import ATTRIB, CLOSE_WRITE, CREATE, DELETE, IS_FOLDER, MOVED_TO

# Seconds between two looks, and how much longer than the look itself the pause is at least.
_PAUSE = 0.5
_PAUSE_PER_LOOK = 20

# Number of the file, time, size, and whether it is a folder.
_Stamp = tuple[int, int, int, bool]


class PolledFolders:
    """Tells of their changes as inotify does."""

    def __init__(self) -> None:
        """Look at none."""
        self._stamps: dict[Path, dict[str, _Stamp]] = {}
        self._due = 0.0

    def __iter__(self) -> Iterator[Path]:
        """Return the folders."""
        return iter(list(self._stamps))

    def __contains__(self, folder: Path) -> bool:
        """Tell whether the folder is looked at."""
        return folder in self._stamps

    def add(self, folder: Path) -> None:
        """Look at a folder as well. Raises OSError when it cannot be read."""
        if not self._stamps:
            self._due = time.monotonic() + _PAUSE
        if folder not in self._stamps:
            self._stamps[folder] = _stamps(folder)

    def discard(self, folder: Path) -> None:
        """Look at a folder no longer."""
        self._stamps.pop(folder, None)

    @property
    def due_in(self) -> float | None:
        """Seconds until the next look; None when there is nothing to look at."""
        return max(0.0, self._due - time.monotonic()) if self._stamps else None

    def look(self) -> Iterator[tuple[Path, int, str]]:
        """Yield folder, mask and name for each change since the last look."""
        began = time.monotonic()
        for folder in self:
            if folder not in self._stamps:
                continue  # whoever is told may discard others
            try:
                now = _stamps(folder)
            except OSError:
                now = {}
            before, self._stamps[folder] = self._stamps[folder], now
            for name in before.keys() | now.keys():
                if before.get(name) != now.get(name):
                    yield from ((folder, mask, name) for mask in _masks(before.get(name), now.get(name)))
        ended = time.monotonic()
        self._due = ended + max(_PAUSE, _PAUSE_PER_LOOK * (ended - began))


def _masks(before: _Stamp | None, now: _Stamp | None) -> Iterator[int]:
    if before and (now is None or before[0] != now[0]):
        yield DELETE | (IS_FOLDER if before[3] else 0)
    if now and now[3]:
        yield (ATTRIB if before and before[0] == now[0] else CREATE) | IS_FOLDER
    elif now:
        yield CLOSE_WRITE if before and before[0] == now[0] else MOVED_TO


def _stamps(folder: Path) -> dict[str, _Stamp]:
    found = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            # One that went meanwhile is missing from now on.
            with contextlib.suppress(OSError):
                state = entry.stat(follow_symlinks=False)
                found[entry.name] = (state.st_ino, state.st_mtime_ns, state.st_size, stat.S_ISDIR(state.st_mode))
    return found
