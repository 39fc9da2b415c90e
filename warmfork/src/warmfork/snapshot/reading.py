"""Reads files that others write meanwhile."""

import errno
import fcntl
import os
import select
import stat
import time
from collections.abc import Container
from pathlib import Path
from typing import BinaryIO

# Seconds in which somebody must fill a named pipe.
_PIPE_PATIENCE = 5.0


class BeingWrittenError(Exception):
    """Somebody has the file open for writing, so what it holds may be a half."""


def read_whole(path: Path) -> bytes:
    """Return the content of a regular file that nobody writes to. Raises BeingWrittenError, OSError.

    The calling process must ignore SIGIO, as hold_writers() says.
    """
    with _open(path) as file:
        hold_writers(file.fileno())
        return file.read()


def hold_writers(descriptor: int) -> None:
    """Let nobody write to the file until the descriptor is closed. Raises BeingWrittenError when somebody does.

    A read lease (fcntl(2), F_SETLEASE) is refused while the file is open for writing, and whoever opens it for writing
    meanwhile waits until it is given back. The events of inotify cannot tell that: a file that is opened anew is empty
    before its event is there. Where there are no leases, as on network file systems and macOS, nobody is held.
    The calling process must ignore SIGIO, by which the kernel tells that somebody waits.
    """
    if not hasattr(fcntl, "F_SETLEASE"):
        return
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        raise BeingWrittenError from None
    except OSError:  # not ours, or no leases here
        pass


def read_as_it_is(path: Path) -> bytes:
    """Return the content of a regular file, even if somebody writes to it. Raises OSError."""
    with _open(path) as file:
        return file.read()


def read_environment_file(path: Path) -> str | None:
    """Return the text of a file with variables, which may be a named pipe that a password manager fills.

    None when there is none. Raises OSError, also when nobody fills the pipe in time.
    """
    try:
        with _open(path, {stat.S_IFREG, stat.S_IFIFO}) as file:
            is_pipe = stat.S_ISFIFO(os.fstat(file.fileno()).st_mode)
            content = _read_pipe(file.fileno()) if is_pipe else file.read()
    except FileNotFoundError:
        return None
    # Bytes that are not UTF-8 reach the environment as they are.
    return content.decode(errors="surrogateescape")


def _open(path: Path, kinds: Container[int] = (stat.S_IFREG,)) -> BinaryIO:
    # Not blocking: opening a named pipe would wait for its writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if stat.S_IFMT(os.fstat(descriptor).st_mode) not in kinds:
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return os.fdopen(descriptor, "rb")


def _read_pipe(descriptor: int) -> bytes:
    parts: list[bytes] = []
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    end = time.monotonic() + _PIPE_PATIENCE
    while poll.poll(max(0.0, 1_000 * (end - time.monotonic()))):
        part = os.read(descriptor, 1 << 16)
        if not part:
            return b"".join(parts)
        parts.append(part)
    raise OSError(errno.ETIMEDOUT, "it is a named pipe that nobody fills")
