"""What tells of a file or a folder that it is no longer what it was, without reading it."""

import os
import zlib
from stat import S_ISDIR, S_ISREG

# Python's own, also while reads.py stands in its place.
stat = os.stat


def signature(path: str) -> list[int]:
    """Return what changes with a file (inode, size, times) or a folder (names in it); nothing where there is none."""
    try:
        status = stat(path)
    except OSError:
        return []
    if S_ISDIR(status.st_mode):
        return [zlib.crc32("\0".join(sorted(names(path))).encode(errors="surrogateescape"))]
    return [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def names(folder: str) -> frozenset[str]:
    """Return the names in a folder, without those that tools and editors put there for themselves."""
    try:
        found = os.listdir(folder)  # noqa: PTH208 - called for each folder that is listed
    except OSError:
        return frozenset()
    return frozenset(name for name in found if name != "__pycache__" and not name.startswith(".") and name[-1] != "~")


def is_file(path: str) -> bool:
    """Tell whether there is a regular file, without being noticed as somebody who depends on it."""
    return S_ISREG(_mode(path))


def is_folder(path: str) -> bool:
    """Tell the same of a folder."""
    return S_ISDIR(_mode(path))


def _mode(path: str) -> int:
    try:
        return stat(path).st_mode
    except OSError:
        return 0
