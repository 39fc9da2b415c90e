"""The files here, and what they are called in pods."""

import base64
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Self

from warmfork.control import contents
from warmfork.control.contents import Content, Link, UnfitError

# What editors leave beside a file for a moment; Tilt ignores the same.
_EPHEMERAL = ("*~", "#*#", "4913", ".*.sw?", ".*.kate-swp", "flymake_*.*", "*___jb_old___", "*___jb_tmp___")
# So many names stand in a line; of more, the first and their number.
_NAMES = 3

# Of requests: replies repeat them.
numbers = itertools.count(1)


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
    paths: Sequence[Path] = ()


class Checkout:
    """All folders that are to be equal in pods."""

    def __init__(self, syncs: Sequence[Sync]) -> None:
        """syncs: none lies in another."""
        self._syncs = syncs
        self.folders = [sync.folder for sync in syncs]
        self.targets = [str(sync.target) for sync in syncs]

    def concerned(self, paths: Iterable[Path]) -> set[Path]:
        """Return those that are to be equal."""
        return {path for path in paths for sync in self._syncs if sync.includes(path)}

    def files(self, below: Path | None = None) -> Iterator[Path]:
        """Yield the files that are here: all, or those below a folder."""
        folders = self.folders if below is None else [below]
        yield from self.concerned(path for folder in folders for path in contents.listing(folder))

    def name(self, path: Path) -> str:
        """Return how people call the file."""
        return self._sync(path).name(path)

    def there(self, path: Path) -> str:
        """Return the file's path in a pod."""
        return self._sync(path).there(path)

    def here(self, there: str) -> Path | None:
        """Return the path of a pod's file; None when it is not to be equal."""
        for sync in self._syncs:
            path = PurePosixPath(there)
            if path.is_relative_to(sync.target) and sync.includes(here := sync.folder / path.relative_to(sync.target)):
                return here
        return None

    def read(self, path: Path, *, at_once: bool = False) -> Content:
        """Return what lies there now. Raises BeingWrittenError, unless it is to be taken as it is; UnfitError."""
        content = contents.read(path, at_once=at_once)
        if isinstance(content, Link):
            self._check(path, content)
        return content

    def batch(self, news: Mapping[Path, Content]) -> Batch:
        """Return what makes the files equal in a pod."""
        changes = [self._change(path, content) for path, content in news.items()]
        # First what is gone: a module may make room for a package of its name.
        changes.sort(key=lambda change: "deleted" not in change)
        number = next(numbers)
        message = json.dumps({"op": "apply", "id": number, "changes": changes}).encode() + b"\n"
        return Batch(number, [self.name(path) for path in news], message, list(news))

    def _check(self, path: Path, link: Link) -> None:
        """Refuse a link that would not lead to the same file in pods, or that Tilt does not carry as one."""
        folder = self._sync(path).folder
        if path.is_dir():
            raise UnfitError("is a symbolic link to a folder, which only a new image has (tilt trigger backend)")
        if not path.exists():
            raise UnfitError(f"is a symbolic link to {link.target}, which is not there")
        if Path(link.target).is_absolute() or not path.resolve().is_relative_to(folder.resolve()):
            raise UnfitError(f"is a symbolic link to {link.target}, outside of {folder.name}: pods do not have that")

    def _change(self, path: Path, content: Content) -> dict[str, str | bool]:
        there = self.there(path)
        if content is None:
            return {"path": there, "deleted": True}
        if isinstance(content, Link):
            return {"path": there, "link": content.target}
        return {"path": there, "content": base64.b64encode(content).decode()}

    def _sync(self, path: Path) -> Sync:
        return next(sync for sync in self._syncs if sync.includes(path))


def summary(names: Sequence[str]) -> str:
    """Return the names, of many only the first and their number."""
    return ", ".join(names) if len(names) <= _NAMES else f"{names[0]} and {len(names) - 1} more"


def _is_left_out(name: str) -> bool:
    """Tell whether the file or folder is one of a tool. Hidden ones mostly are, and left to Tilt."""
    is_hidden = name.startswith(".") and not name.startswith(".env")
    return is_hidden or name == "__pycache__" or any(fnmatchcase(name, pattern) for pattern in _EPHEMERAL)
