"""What a process has opened or started that a fork of it could not share with it."""

import fcntl
import os
import stat
import sys
import weakref
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from warmfork.threads import lost_by_a_fork

# As the kernel names what is open: what is no file.
_SHARED = {"anon_inode:": "an event loop", "socket:": "a connection", "pipe:": "a pipe"}
_MEMORY = "memory or a lock that several processes share"
# What memory is shared by: multiprocessing's locks and values, and files and memory as bytes.
_MAPPING = ("_multiprocessing", "mmap")


def descriptors() -> dict[int, str]:
    """Return what each open descriptor of this process is, as the kernel names it."""
    found = {}
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        with suppress(OSError):
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")  # noqa: PTH115
    return found


def shared_memory() -> frozenset[str]:
    """Return the places of this process's memory that a fork of it would share: locks, counters."""
    if sys.modules.keys().isdisjoint(_MAPPING):
        return frozenset()
    lines = map(str.split, Path("/proc/self/maps").read_text(errors="replace").splitlines())
    return frozenset(place for place, access, *_ in lines if access[1] == "w" and access[3] == "s")


def temporary_folders() -> frozenset[Any]:
    """Return what will delete them when this process ends."""
    finalizers = list(weakref.finalize._registry.items())  # type: ignore[attr-defined]  # noqa: SLF001
    delete = TemporaryDirectory._cleanup.__func__  # type: ignore[attr-defined]  # noqa: SLF001
    return frozenset(one for one, info in finalizers if getattr(info.func, "__func__", None) is delete)


@dataclass(frozen=True)
class Holdings:
    """What a process has at a moment that a fork would share with it, or share in part."""

    descriptors: dict[int, str] = field(default_factory=descriptors)
    memory: frozenset[str] = field(default_factory=shared_memory)
    folders: frozenset[Any] = field(default_factory=temporary_folders)

    def opened_since(self) -> dict[int, str]:
        """Return the descriptors that have come since."""
        return {number: name for number, name in descriptors().items() if self.descriptors.get(number) != name}

    def waited_for_since(self) -> list[str]:
        """Return in words what has come since at which one process could take what is meant for another."""
        words = [
            words
            for name in self.opened_since().values()
            for kind, words in _SHARED.items()
            if kind != "socket:" and name.startswith(kind)
        ]
        return [*words, *([_MEMORY] if shared_memory() - self.memory else [])]


def obstacle(before: Holdings) -> str:
    """Return why this process must not be forked, in words; empty when it may be.

    before: of this process when it had been forked itself.
    """
    if threads := lost_by_a_fork():
        return f"the thread {threads[0]}"
    if shared_memory() - before.memory:
        return _MEMORY
    if temporary_folders() - before.folders:
        # The first process to end would delete it for all.
        return "a temporary folder"
    for number, name in before.opened_since().items():
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
