"""Reads files that others write meanwhile."""

import fcntl
import os
import stat
from pathlib import Path


class BeingWrittenError(Exception):
    """Somebody has the file open for writing, so what it holds may be a half."""


def read_whole(path: Path) -> bytes:
    """Return the content of a regular file that nobody writes to. Raises BeingWrittenError, OSError.

    A read lease (fcntl(2), F_SETLEASE) is refused while the file is open for writing, and whoever opens it for writing
    meanwhile waits until it is given back. The events of inotify cannot tell that: a file that is opened anew is empty
    before its event is there. Where there are no leases, as on network file systems, the file is read as it is.
    The calling process must ignore SIGIO, by which the kernel tells that somebody waits.
    """
    # Not blocking: opening a named pipe would wait for its writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{path} is no regular file")
        try:
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        except BlockingIOError:
            raise BeingWrittenError from None
        except OSError:  # not ours, or no leases here
            pass
        return file.read()
