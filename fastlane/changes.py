"""From saved files to one message."""

import base64
import contextlib
import errno
import hashlib
import itertools
import json
import logging
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Self

from warmfork.watcher import files_below

# What the other side takes.
_MAXIMUM_BYTES = 1 << 20
# What editors leave beside a file for a moment; Tilt ignores the same.
_EPHEMERAL = ("*~", "#*#", "4913", ".*.sw?", ".*.kate-swp", "flymake_*.*", "*___jb_old___", "*___jb_tmp___")

_logger = logging.getLogger(__name__)
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Sync:
    """A folder here, and the folder in the pods that is to equal it."""

    folder: Path
    target: PurePosixPath

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "backend/app=/app/app". Raises ValueError."""
        here, separator, there = text.partition("=")
        folder, target = Path(here).absolute(), PurePosixPath(there)
        if not separator or not target.is_absolute():
            raise ValueError(f"{text} is not HERE=THERE, such as backend/app=/app/app")
        if not folder.is_dir():
            raise ValueError(f"{here} is no folder: run this in the checkout")
        return cls(folder, target)

    def includes(self, path: Path) -> bool:
        """Tell whether it is the folder or in it, and nothing of a tool."""
        return path.is_relative_to(self.folder) and not any(map(_is_left_out, path.relative_to(self.folder).parts))

    def name(self, path: Path) -> str:
        """Return how people call the file: app/main.py."""
        return path.relative_to(self.folder.parent).as_posix()

    def there(self, path: Path) -> str:
        """Return the file's path in a pod."""
        return str(self.target / path.relative_to(self.folder))


class Batch(NamedTuple):
    """Changed files. message: the line that carries them to a pod, with the number that its reply repeats."""

    number: int
    names: list[str]
    message: bytes


class Changes:
    """Knows the files as they were last seen, so that only what differs is sent."""

    def __init__(self, syncs: Sequence[Sync]) -> None:
        """Look at all files. Whether a pod equals them by now is Tilt's concern."""
        self._syncs = syncs
        self._digests: dict[Path, bytes] = {}
        for path in self.concerned(path for sync in syncs for path in files_below(sync.folder)):
            with contextlib.suppress(_UnfitError):
                self._is_new(path, _read(path))

    def concerned(self, paths: Iterable[Path]) -> set[Path]:
        """Return those that are to be sent when they change."""
        return {path for path in paths for sync in self._syncs if sync.includes(path)}

    def take(self, paths: Iterable[Path]) -> Batch | None:
        """Return what is new of these files and of those in folders that are gone; None when nothing is."""
        news: dict[Path, bytes | None] = {}
        for path in sorted(self._expand(paths)):
            try:
                content = _read(path)
            except _UnfitError as reason:
                self._digests.pop(path, None)
                _logger.warning("%s: %s; left to Tilt", self._sync(path).name(path), reason)
                continue
            if self._is_new(path, content):
                news[path] = content
        if not news:
            return None
        changes = [self._change(path, content) for path, content in news.items()]
        # First what is gone: a module may make room for a package of its name.
        changes.sort(key=lambda change: "content" in change)
        number = next(_numbers)
        message = json.dumps({"op": "apply", "id": number, "changes": changes}).encode() + b"\n"
        return Batch(number, [self._sync(path).name(path) for path in news], message)

    def _change(self, path: Path, content: bytes | None) -> dict[str, str | bool]:
        there = self._sync(path).there(path)
        if content is None:
            return {"path": there, "deleted": True}
        return {"path": there, "content": base64.b64encode(content).decode()}

    def _sync(self, path: Path) -> Sync:
        return next(sync for sync in self._syncs if sync.includes(path))

    def _expand(self, paths: Iterable[Path]) -> Iterator[Path]:
        for path in paths:
            yield path
            if path not in self._digests:
                # Perhaps a folder that has gone.
                below = f"{path}{os.sep}"
                yield from [known for known in self._digests if str(known).startswith(below)]

    def _is_new(self, path: Path, content: bytes | None) -> bool:
        """Remember the content; tell whether it was another one before."""
        before = self._digests.pop(path, None)
        digest = None if content is None else hashlib.sha256(content).digest()
        if digest is not None:
            self._digests[path] = digest
        return digest != before


def _is_left_out(name: str) -> bool:
    """Tell whether the file or folder is one of a tool. Hidden ones mostly are, and left to Tilt."""
    is_hidden = name.startswith(".") and not name.startswith(".env")
    return is_hidden or name == "__pycache__" or any(fnmatchcase(name, pattern) for pattern in _EPHEMERAL)


class _UnfitError(Exception):
    """The file is not one to send; the text says why."""


def _read(path: Path) -> bytes | None:
    """Return the file's content; None when there is no such file. Raises _UnfitError."""
    try:
        with open(path, "rb", opener=_open_itself) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise _UnfitError("is no regular file")
            content = file.read(_MAXIMUM_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError as error:
        raise _UnfitError("is a symbolic link" if error.errno == errno.ELOOP else f"{error.strerror}") from None
    if len(content) > _MAXIMUM_BYTES:
        raise _UnfitError(f"has more than {_MAXIMUM_BYTES >> 20} MiB")
    return content


def _open_itself(path: str, flags: int) -> int:
    """Open what the path names: not what a link leads to, and without waiting for a pipe's other end."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
