"""What lies at a path: a file, a symbolic link, or nothing. Both ends of the control channel compare by it."""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from warmfork.snapshot.folders import is_skipped
from warmfork.snapshot.reading import hold_writers

# Of one file; what is larger is nobody's code.
MAXIMUM_BYTES = 1 << 20


@dataclass(frozen=True)
class Link:
    """A symbolic link, carried as what it is: where it leads to is another path, with a content of its own."""

    target: str


# None: there is no such file.
Content = bytes | Link | None


class UnfitError(Exception):
    """What lies there cannot be carried; the text says why."""


class Digest(NamedTuple):
    """A content in short.

    text: SHA-256 of a file in hexadecimal digits, "link:" with the target of a link, empty for what cannot be carried.
    size: of a file, in bytes.
    """

    text: str
    size: int


# What lies there cannot be carried, or nobody knows what it is: equal to nothing.
UNFIT = Digest("", 0)


def digest(content: Content) -> Digest | None:
    """Return the content in short, None for no file."""
    if isinstance(content, bytes):
        return Digest(hashlib.sha256(content).hexdigest(), len(content))
    return Digest(f"link:{content.target}", 0) if content else None


def read(path: Path, *, at_once: bool = False) -> Content:
    """Return what lies there. Raises UnfitError, BeingWrittenError.

    at_once: take it as it is, also while somebody is writing it.
    """
    try:
        with open(path, "rb", opener=_open_itself) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UnfitError("is no regular file")
            if not at_once:
                hold_writers(file.fileno())
            content = file.read(MAXIMUM_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError as error:
        if error.errno == errno.ELOOP and (link := _read_link(path)):
            return link
        raise UnfitError(str(error.strerror)) from None
    if len(content) > MAXIMUM_BYTES:
        raise UnfitError(f"has more than {MAXIMUM_BYTES >> 20} MiB")
    return content


def digest_at(path: Path, *, at_once: bool = False) -> Digest | None:
    """Return in short what lies there. Raises BeingWrittenError, unless it is to be taken as it is."""
    try:
        return digest(read(path, at_once=at_once))
    except UnfitError:
        return UNFIT


def listing(folder: Path) -> Iterator[Path]:
    """Yield the files and links below a folder, without those in tools' folders."""
    for name, folders, files in os.walk(folder):
        here = Path(name)
        yield from (here / file for file in files)
        yield from (here / below for below in folders if (here / below).is_symlink())
        folders[:] = [below for below in folders if not is_skipped(here / below)]


def _open_itself(path: str, flags: int) -> int:
    """Open what the path names: not what a link leads to, and without waiting for a pipe's other end."""
    return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)


def _read_link(path: Path) -> Link | None:
    try:
        return Link(str(path.readlink()))
    except OSError:  # a link among its parents leads in a circle
        return None
