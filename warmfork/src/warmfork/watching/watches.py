"""The watches that are held: of folders by all paths that they are known by, and of files that have further names."""

import errno
import stat
from collections import defaultdict
from collections.abc import Callable, Iterator
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

from warmfork.snapshot.folders import is_link, real_path
from warmfork.watching.inotify import IGNORED, IS_FOLDER, OVERFLOW, Inotify, explain
from warmfork.watching.polling import PolledFolders

# The kernel has no watch left, or no memory for one.
_EXHAUSTED = {errno.ENOSPC, errno.ENOMEM}


class Extent(IntEnum):
    """What is told of a watched folder."""

    PLACES = 1  # only what decides where something else leads to
    FILES = 2  # the files directly in it
    TREE = 3  # all that is below it


class Change(NamedTuple):
    """What happened to a name in a folder, or without a name to the path itself."""

    mask: int
    path: Path
    name: str = ""


class Watches:
    """What cannot be watched is looked at from time to time instead, and what may not be read is left out."""

    def __init__(self, report: Callable[[str], None]) -> None:
        """Watch nothing yet. Raises WatchError."""
        self._inotify = Inotify()
        self._report = report
        self.extents: dict[Path, Extent] = {}
        self._watches: dict[Path, int] = {}
        # A folder may be known by several paths, of which all but one go through links.
        self._paths: dict[int, set[Path]] = defaultdict(set)
        self._file_watches: dict[Path, int] = {}
        self._file_paths: dict[int, set[Path]] = defaultdict(set)
        self._polled = PolledFolders()
        self._has_said_why_it_polls = False

    def fileno(self) -> int:
        """Return the descriptor, for selectors."""
        return self._inotify.fileno()

    def close(self) -> None:
        """Stop watching."""
        self._inotify.close()

    def wait(self, seconds: float) -> bool:
        """Return whether the kernel tells something within the time."""
        return self._inotify.wait(seconds)

    @property
    def due_in(self) -> float | None:
        """Seconds until folders are to be looked at, by read(); None when the kernel tells of all."""
        return self._polled.due_in

    def add(self, folder: Path, extent: Extent) -> bool:
        """Watch a folder, if only for more than before; return whether that is possible."""
        extent = max(extent, self.extents.get(folder, extent))
        try:
            self._watch(folder, extent)
        except OSError as error:
            if error.errno not in _EXHAUSTED or not self._poll(folder, error.errno):
                return False
        self.extents[folder] = extent
        return True

    def add_file(self, path: Path) -> bool:
        """Watch a file that has another name, or a link leads to, for what is written by that; return whether so."""
        try:
            state = path.stat()
            is_other = state.st_nlink > 1 or is_link(path)
            if not is_other or not stat.S_ISREG(state.st_mode):
                return False
            watch = self._inotify.add_file(real_path(path))
        except OSError as error:
            if error.errno in _EXHAUSTED:
                self._say_why(error.errno)
            return False
        if self._file_watches.get(path) != watch:
            self.remove_file(path)
        self._file_watches[path] = watch
        self._file_paths[watch].add(path)
        return True

    def remove_file(self, path: Path) -> None:
        """Watch no longer what was under this name."""
        if (watch := self._file_watches.pop(path, None)) is not None:
            self._detach(watch, path, self._file_paths)

    def forget(self, folder: Path) -> None:
        """Stop watching a folder that is no longer there, and all below it: their names are no longer true."""
        prefix = f"{folder}/"
        for path in [path for path in self.extents if path == folder or str(path).startswith(prefix)]:
            del self.extents[path]
            self._polled.discard(path)
            if (watch := self._watches.pop(path, None)) is not None:
                self._detach(watch, path, self._paths)
        for path in [path for path in self._file_watches if str(path).startswith(prefix)]:
            self.remove_file(path)

    def read(self) -> Iterator[Change]:
        """Yield the changes since the last call. What the masks mean is in inotify.py.

        After OVERFLOW some were lost. IGNORED means that the folder is not watched any longer, because it has gone.
        """
        for watch, mask, name in self._inotify.read():
            if mask & OVERFLOW:
                yield Change(OVERFLOW, Path())
            elif mask & IGNORED:
                yield from self._end(watch)
            elif name:
                # Whoever is told may add and forget.
                yield from (Change(mask, folder, name) for folder in tuple(self._paths.get(watch, ())))
            else:
                paths = self._paths if mask & IS_FOLDER else self._file_paths
                yield from (Change(mask, path) for path in tuple(paths.get(watch, ())))
        if self._polled.due_in == 0.0:
            yield from self._look()

    def _watch(self, folder: Path, extent: Extent) -> None:
        watch = self._inotify.add_folder(folder, names_only=extent is Extent.PLACES)
        before = self._watches.get(folder)
        if before is not None and before != watch:
            # Another folder has come in its place.
            self._detach(before, folder, self._paths)
        self._watches[folder] = watch
        self._paths[watch].add(folder)

    def _detach(self, watch: int, path: Path, paths: dict[int, set[Path]]) -> None:
        """End the watch if no other path needs it."""
        known = paths.get(watch, set())
        known.discard(path)
        if not known:
            paths.pop(watch, None)
            self._inotify.remove(watch)

    def _end(self, watch: int) -> Iterator[Change]:
        for path in self._file_paths.pop(watch, ()):
            self._file_watches.pop(path, None)
        for folder in self._paths.pop(watch, ()):
            self._watches.pop(folder, None)
            self.extents.pop(folder, None)
            yield Change(IGNORED, folder)

    def _poll(self, folder: Path, reason: int | None) -> bool:
        try:
            self._polled.add(folder)
        except OSError:
            return False
        self._say_why(reason)
        return True

    def _say_why(self, reason: int | None) -> None:
        if not self._has_said_why_it_polls:
            self._has_said_why_it_polls = True
            self._report(f"{explain(reason)}; until then some folders are only looked at from time to time")

    def _look(self) -> Iterator[Change]:
        # Perhaps there are watches again. Watched first and looked at then, so that no change falls between.
        regained = []
        for folder in self._polled:
            try:
                self._watch(folder, self.extents[folder])
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    break
            else:
                regained.append(folder)
        yield from (Change(mask, folder, name) for folder, mask, name in self._polled.look())
        for folder in regained:
            self._polled.discard(folder)
