"""Files that exist in memory alone, for what a message or the environment of a program cannot hold."""

import ctypes
import os
import tempfile

_CLOEXEC = 1


def memory_file(content: bytes) -> int:
    """Return the descriptor of a new file with this content, at whose start it stands. Raises OSError."""
    descriptor = _create()
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def read_all(descriptor: int) -> bytes:
    """Return what the file holds, and close it."""
    with os.fdopen(descriptor, "rb") as file:
        file.seek(0)
        return file.read()


def _create() -> int:
    """Return an empty file of memfd_create(2), which needs no folder that could be full or gone."""
    libc = ctypes.CDLL(None, use_errno=True)
    # Not os.memfd_create(): Pythons that are built for older systems do not have it.
    if hasattr(libc, "memfd_create"):
        descriptor: int = libc.memfd_create(b"warmfork", _CLOEXEC)
        if descriptor >= 0:
            return descriptor
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
