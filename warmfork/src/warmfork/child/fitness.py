"""What a process has opened or started that a fork of it could not share with it."""

import fcntl
import os
import stat
import weakref
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from warmfork.threads import lost_by_a_fork

# As the kernel names what is open: what is no file.
_SHARED = {"anon_inode:": "an event loop", "socket:": "a connection", "pipe:": "a pipe"}


def descriptors() -> dict[int, str]:
    """Return what each open descriptor of this process is, as the kernel names it."""
    found = {}
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        with suppress(OSError):
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")  # noqa: PTH115
    return found


@dataclass(frozen=True)
class Opened:
    """What this process has: descriptors, memory that it shares with its forks, and folders that it will delete."""

    descriptors: dict[int, str]
    shared: frozenset[str]
    folders: frozenset[Any]

    @classmethod
    def now(cls) -> "Opened":
        """Take stock."""
        return cls(descriptors(), _shared_memory(), _temporary_folders())


def obstacle(before: Opened) -> str:
    """Return why this process must not be forked, in words; empty when it may be.

    before: what it had when it had been forked itself.
    """
    if threads := lost_by_a_fork():
        return f"the thread {threads[0]}"
    now = Opened.now()
    if now.shared - before.shared:
        return "memory that processes share"
    if now.folders - before.folders:
        # The first process to end would delete it for all.
        return "a temporary folder"
    opened = {number: name for number, name in now.descriptors.items() if before.descriptors.get(number) != name}
    for number, name in opened.items():
        for kind, words in _SHARED.items():
            if name.startswith(kind):
                return words
        if _is_database(number):
            return f"{Path(name).name} to read and write"
    return ""


def _is_database(descriptor: int) -> bool:
    """Tell whether it is a file that is both read and written, at a place in it that a fork would share."""
    with suppress(OSError):
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        return is_file and fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR
    return False


def _shared_memory() -> frozenset[str]:
    """Return the lines of /proc/self/maps about memory that forks would write to as well, as a lock's may be."""
    with suppress(OSError):
        lines = Path("/proc/self/maps").read_text(errors="surrogateescape").splitlines()
        return frozenset(line for line in lines if line.split(" ", 2)[1][1::2] == "ws")
    return frozenset()


def _temporary_folders() -> frozenset[Any]:
    """Return what will delete them when this process ends."""
    finalizers = list(weakref.finalize._registry.items())  # type: ignore[attr-defined]  # noqa: SLF001
    delete = TemporaryDirectory._cleanup.__func__  # type: ignore[attr-defined]  # noqa: SLF001
    return frozenset(one for one, info in finalizers if getattr(info.func, "__func__", None) is delete)
