"""Whether git is rewriting a working tree: it holds the lock of its index meanwhile."""

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from warmfork.snapshot.folders import is_file, is_folder, real_path

# Seconds after which it is said that changes wait for git, or that they no longer do.
_PATIENCE = 5.0
# Where it cannot be told who has the lock open: seconds without a change after which nobody is at work.
_QUIET = 1.0


class GitLocks:
    """The locks of all repositories and working trees that changed files lie in."""

    def __init__(self, report: Callable[[str], None]) -> None:
        """Know of none yet."""
        self._report = report
        # For the change that is going on; found anew for each, because repositories come and go.
        self._folders: set[Path] = set()
        self._locks: set[Path] = set()
        # Locks that nobody holds, by what tells one from its successor: number of the file and time.
        self._left: dict[Path, tuple[int, int]] = {}
        self._waiting_since: float | None = None
        self._has_said_so = False

    def expect(self, folders: Iterable[Path]) -> None:
        """Take note of folders in which something has changed."""
        for folder in set(folders) - self._folders:
            self._folders.add(folder)
            # Of a folder behind a link, its own repository.
            real = real_path(folder)
            places = (git_folder(above) for above in (real, *real.parents))
            self._locks |= {place / "index.lock" for place in places if place}

    def forget(self) -> None:
        """Take note that the change is over."""
        self._folders.clear()
        self._locks.clear()
        self._waiting_since, self._has_said_so = None, False

    def is_at_work(self, quiet: float) -> bool:
        """Tell whether more of the same change is to be expected; quiet: seconds since the last of it."""
        held = [lock for lock in sorted(self._locks) if self._is_held(lock, quiet)]
        if not held:
            return False
        now = time.monotonic()
        self._waiting_since = self._waiting_since or now
        if now - self._waiting_since > _PATIENCE and not self._has_said_so:
            self._has_said_so = True
            self._report(f"changes wait for git, which is at work and holds {held[0]}")
        return True

    def _is_held(self, lock: Path, quiet: float) -> bool:
        try:
            found = lock.stat()
        except OSError:
            self._left.pop(lock, None)
            return False
        identity = (found.st_ino, found.st_mtime_ns)
        if self._left.get(lock) == identity:
            return False
        is_open = _is_open_for_writing(lock)
        if is_open or (is_open is None and quiet < _QUIET):
            return True
        # For a moment before its end git has closed it already; or for long, while somebody writes a commit's message.
        if time.time() - found.st_mtime > _PATIENCE:
            self._left[lock] = identity
            self._report(f"{lock} is held by no process; changes do not wait for it. Delete it if no git is running")
        elif is_open is None:
            self._left[lock] = identity
        return False


def git_folder(folder: Path) -> Path | None:
    """Return where git keeps the index of a working tree; None when the folder is none's root."""
    place = folder / ".git"
    if is_folder(place):
        return place
    # A linked worktree and a submodule have a file instead, which names the place.
    try:
        name = place.read_bytes() if is_file(place) else b""
    except OSError:
        return None
    key, _, target = name.partition(b":")
    return folder / os.fsdecode(target.strip()) if key == b"gitdir" else None


def _is_open_for_writing(path: Path) -> bool | None:
    """Tell whether a process has the file open for writing, in whatever container it runs; None where it stays unknown.

    A read lease is refused then, see reading.py.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    except OSError:
        return None
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return True if error.errno == errno.EAGAIN else None
    finally:
        os.close(descriptor)
    return False
