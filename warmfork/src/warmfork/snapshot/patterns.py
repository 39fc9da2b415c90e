"""Patterns of file names and of paths, as --reload-include and --reload-exclude take them."""

import glob
import os
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from warmfork.snapshot.folders import is_folder

_ANY_DEPTH = "**"
_GLOB = frozenset("*?[")


class Patterns:
    """Without a slash a pattern is about names, with one about paths: `*.html`, `templates/*.html`, `pages/**/*.html`.

    A relative path counts wherever it ends one, as with pathlib.PurePath.match() and so with uvicorn.
    """

    def __init__(self, texts: Iterable[str], folder: Path) -> None:
        """Read the patterns; those that begin with `../` begin in the folder."""
        texts = [text.removesuffix("/") for text in texts if text.strip("/")]
        self._names = tuple(text for text in texts if "/" not in text)
        self._paths = tuple(_path_parts(text, folder) for text in texts if "/" in text)

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        return bool(self._names or self._paths)

    def match(self, path: Path) -> bool:
        """Tell whether a pattern is about this file."""
        return self.match_name(path.name) or self.match_path(path)

    def match_name(self, name: str) -> bool:
        """Tell whether a pattern of names is about this one."""
        return any(fnmatchcase(name, pattern) for pattern in self._names)

    def match_path(self, path: Path) -> bool:
        """Tell whether a pattern of paths is about this file."""
        return bool(self._paths) and self._match_parts(path.parts[1:])

    def match_with_folders(self, path: Path, folder: Path) -> bool:
        """Tell whether a pattern is about this file, or about one of the folders between it and the folder."""
        parts, above = path.parts[1:], len(folder.parts) - 1
        if any(self.match_name(part) for part in parts[above:]):
            return True
        return any(self._match_parts(parts[:length]) for length in range(above + 1, len(parts) + 1))

    def _match_parts(self, parts: Sequence[str]) -> bool:
        return any(_match(parts, pattern) for pattern in self._paths)


class IncludedFolder(NamedTuple):
    """A folder that patterns of paths are about; is_tree: with all that is below it."""

    path: Path
    is_tree: bool


def included_folders(texts: Iterable[str], trees: Sequence[Path]) -> list[IncludedFolder]:
    """Return where files may lie that the patterns of paths are about, from here on, other than in the trees."""
    folder = Path.cwd()
    texts = with_folders(texts, [folder, *trees])
    found: dict[Path, bool] = {}
    for text in texts:
        if not text.strip("/") or "/" not in text.removesuffix("/"):
            continue
        *above, _ = Path(os.path.normpath(folder / text)).parts
        literal = next((number for number, part in enumerate(above) if not _GLOB.isdisjoint(part)), len(above))
        # What the folder's own path consists of is no pattern.
        literal = max(literal, len(folder.parts)) if Path(*above[: len(folder.parts)]) == folder else literal
        place = Path(*above[:literal])
        if not any(tree == place or tree in place.parents for tree in trees):
            found[place] = found.get(place, False) or literal < len(above)
    return [IncludedFolder(path, is_tree) for path, is_tree in found.items()]


def with_folders(texts: Iterable[str], folders: Sequence[Path]) -> list[str]:
    """Return the patterns; of one that names a folder that is there, a pattern for the files below it as well."""
    texts = list(texts)
    named = [text.removesuffix("/") for text in texts if text.strip("/") and _is_folder(text, folders)]
    # Editors keep their locks and backups in hidden files.
    return [*texts, *(f"{text}/**/[!.~]*" for text in named)]


def _is_folder(text: str, folders: Sequence[Path]) -> bool:
    return any(is_folder(folder / text) for folder in folders)


def _path_parts(text: str, folder: Path) -> tuple[str, ...]:
    if text.startswith("../"):
        return Path(os.path.normpath(Path(glob.escape(str(folder)), text))).parts[1:]
    parts = tuple(part for part in text.split("/") if part not in {"", "."})
    return parts if text.startswith("/") else (_ANY_DEPTH, *parts)


def _match(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Match names of folders one by one; `**` stands for any number of them."""
    if not pattern:
        return not parts
    if pattern[0] == _ANY_DEPTH:
        return any(_match(parts[start:], pattern[1:]) for start in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _match(parts[1:], pattern[1:])
