"""What a process has opened or started that a fork of it could not share with it."""

import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path

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


def obstacle(before: dict[int, str]) -> str:
    """Return why this process must not be forked, in words; empty when it may be.

    before: its descriptors when it had been forked itself.
    """
    if threads := lost_by_a_fork():
        return f"the thread {threads[0]}"
    opened = {number: name for number, name in descriptors().items() if before.get(number) != name}
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
