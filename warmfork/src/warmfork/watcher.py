"""Which files change, told by the kernel as soon as a save is finished (inotify(7)). Linux only."""

import contextlib
import ctypes
import errno
import os
import select
import struct
import time
from collections.abc import Iterator
from pathlib import Path

_MODIFY, _CLOSE_WRITE, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x2, 0x8, 0x40, 0x80, 0x100, 0x200
_MOVE_SELF, _Q_OVERFLOW, _IGNORED, _ISDIR = 0x800, 0x4000, 0x8000, 0x40000000
_EVENTS = _MODIFY | _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _MOVE_SELF
_EVENT = struct.Struct("iIII")
# Folders of tools, never of an application.
_SKIPPED = {"__pycache__", "node_modules"}
# Seconds without a further event that end a change, and the longest that a change may go on being one.
_QUIET = 0.002
_BURST = 0.05
# Git holds this file while it rewrites a working tree; seconds that it is waited for.
_GIT_LOCK = ".git/index.lock"
_GIT_PATIENCE = 5.0


class WatchError(Exception):
    """The kernel does not watch; the text says why and what helps."""


class Watcher:
    """Watches folders: whole trees, or single folders without what is below them.

    Its descriptor becomes readable when something has changed; read() then tells what.
    """

    def __init__(self, trees: list[Path], folders: list[Path] | None = None) -> None:
        """Begin to watch. Raises WatchError."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        if not hasattr(self._libc, "inotify_init1"):
            raise WatchError("this system has no inotify")
        self._descriptor: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            raise WatchError(_explain(ctypes.get_errno()))
        self._trees = list(trees)
        self._paths: dict[int, Path] = {}
        # Watches of single folders: what appears below them is not watched.
        self._single: set[int] = set()
        # Files that somebody is writing: the end of that will be told as well.
        self._unfinished: set[Path] = set()
        # What is_being_written() has learned, for read() to tell.
        self._found: set[Path] = set()
        try:
            for tree in trees:
                self._watch_tree(tree)
            # Of the trees' own parents, to notice when a whole tree is replaced.
            for folder in [*(tree.parent for tree in trees), *(folders or ())]:
                if folder not in self._paths.values():
                    self._single.add(self._watch(folder))
        except WatchError:
            self.close()
            raise
        self._locks = [lock for tree in trees if (lock := _git_lock(tree))]

    def add_folder(self, folder: Path) -> None:
        """Watch one more folder, without what is below it, unless it is watched already or cannot be."""
        if folder not in self._paths.values():
            with contextlib.suppress(WatchError, OSError):
                self._single.add(self._watch(folder))

    def fileno(self) -> int:
        """Return the descriptor, for selectors."""
        return self._descriptor

    def close(self) -> None:
        """Stop watching."""
        os.close(self._descriptor)

    def read(self) -> set[Path]:
        """Return the files that were written, moved or deleted since the last call; empty when there are none.

        Waits for the end of a burst: an editor that saves several files, or git that checks out a branch. A file that
        is being written again is left to a later call.
        """
        found, self._found = self._found, set()
        paths = found | set(self._pending())
        if not paths:
            return paths
        end = time.monotonic() + _BURST
        while (now := time.monotonic()) < end or self._is_git_at_work(now - end):
            if not select.select([self._descriptor], [], [], _QUIET)[0] and not self._is_git_at_work(now - end):
                break
            paths |= set(self._pending())
        return paths - self._unfinished

    @property
    def has_more(self) -> bool:
        """Whether read() has something to tell although the descriptor may not be readable."""
        return bool(self._found)

    def is_being_written(self, path: Path) -> bool:
        """Tell whether somebody has begun to write the file and has not ended; what was read of it may be a half."""
        self._found |= set(self._pending())
        return path in self._unfinished

    def _is_git_at_work(self, waited: float) -> bool:
        return waited < _GIT_PATIENCE and any(lock.exists() for lock in self._locks)

    def _pending(self) -> Iterator[Path]:
        while True:
            try:
                buffer = os.read(self._descriptor, 1 << 16)
            except BlockingIOError:
                return
            position = 0
            while position < len(buffer):
                watch, mask, _, length = _EVENT.unpack_from(buffer, position)
                position += _EVENT.size
                name = os.fsdecode(buffer[position : position + length].rstrip(b"\0"))
                position += length
                yield from self._interpret(watch, mask, name)

    def _interpret(self, watch: int, mask: int, name: str) -> Iterator[Path]:
        if mask & _Q_OVERFLOW:
            yield from self._everything()
            return
        if mask & _IGNORED:
            self._paths.pop(watch, None)
            return
        folder = self._paths.get(watch)
        if folder is None:
            return
        path = folder / name
        if not name:
            return
        if mask & _ISDIR and (watch not in self._single or path in self._trees):
            yield from self._interpret_folder(mask, path)
        elif mask & _MODIFY:
            self._unfinished.add(path)
        elif not mask & _CREATE or mask & _ISDIR or path.is_symlink():
            # A file that was created is reported again when it is closed; a link is complete at once.
            self._unfinished.discard(path)
            yield path

    def _interpret_folder(self, mask: int, folder: Path) -> Iterator[Path]:
        if mask & (_CREATE | _MOVED_TO):
            if not is_skipped(folder):
                yield from self._watch_tree(folder)
        elif mask & (_MOVED_FROM | _DELETE):
            self._forget(folder)
            yield folder

    def _everything(self) -> Iterator[Path]:
        """Yield all that may have changed when events were lost: folders too, for what is no longer in them."""
        self._unfinished.clear()
        for tree in self._trees:
            yield tree
            yield from self._watch_tree(tree)
        for watch in self._single:
            yield self._paths[watch]
            yield from self._paths[watch].iterdir()

    def _watch_tree(self, tree: Path) -> list[Path]:
        """Watch the tree; return the files that are already in it."""
        found = []
        for folder, files in _walk(tree):
            try:
                self._watch(folder)
            except FileNotFoundError:
                continue  # gone again
            found += files
        return found

    def _watch(self, folder: Path) -> int:
        watch: int = self._libc.inotify_add_watch(self._descriptor, os.fsencode(folder), _EVENTS)
        if watch < 0:
            number = ctypes.get_errno()
            if number in {errno.ENOENT, errno.ENOTDIR}:
                raise FileNotFoundError(number, os.strerror(number), str(folder))
            raise WatchError(_explain(number))
        self._paths[watch] = folder
        return watch

    def _forget(self, folder: Path) -> None:
        """Stop watching a folder that was moved away, and all below it: their names are no longer true."""
        for watch, path in list(self._paths.items()):
            if path == folder or folder in path.parents:
                self._libc.inotify_rm_watch(self._descriptor, watch)
                del self._paths[watch]


def files_below(tree: Path) -> Iterator[Path]:
    """Yield the files of a tree that a watcher would watch."""
    for _, files in _walk(tree):
        yield from files


def _walk(tree: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Yield each folder of an application's tree, and the files in it."""
    for name, folders, files in os.walk(tree):
        folder = Path(name)
        folders[:] = [below for below in folders if not is_skipped(folder / below)]
        yield folder, [folder / file for file in files]


def is_skipped(folder: Path) -> bool:
    """Tell whether it is a tool's folder: a cache, a hidden one, a virtual environment."""
    return folder.name in _SKIPPED or folder.name.startswith(".") or (folder / "pyvenv.cfg").exists()


def _git_lock(tree: Path) -> Path | None:
    for folder in (tree, *tree.parents):
        if (folder / ".git").is_dir():
            return folder / _GIT_LOCK
    return None


def _explain(number: int) -> str:
    if number == errno.EMFILE:
        return "no inotify instance is left; raise the limit: sysctl fs.inotify.max_user_instances=512"
    if number == errno.ENOSPC:
        return "no inotify watch is left; raise the limit: sysctl fs.inotify.max_user_watches=524288"
    return os.strerror(number)
