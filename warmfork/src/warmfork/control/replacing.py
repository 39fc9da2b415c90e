"""Replaces files, all or none."""

import contextlib
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from warmfork.control.contents import Content, Link

# Beside the file, hidden, so that neither watchers nor editors take it for one.
_UNFINISHED = "warmfork"
_BEFORE = "warmfork-before"


class NotReplacedError(Exception):
    """A file could not be replaced; the text says which one, why, and what became of the others."""


def replace_all(contents: Mapping[Path, Content]) -> None:
    """Put each content in its place, in one step each, keeping modes; None deletes. Raises NotReplacedError."""
    undo: list[tuple[Path, Callable[[], object]]] = []
    path = Path()
    try:
        # First what is gone: a file may make room for a folder of its name.
        for path, content in contents.items():
            if content is None:
                _set_aside(path, undo)
        for path, content in contents.items():
            if content is not None:
                _write_beside(path, content, undo)
        for path, content in contents.items():
            if content is not None:
                _keep_aside(path, undo)
                _beside(path, _UNFINISHED).rename(path)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        left = _take_back(undo)
        rest = f"{', '.join(map(str, left))} could not be restored" if left else "nothing was changed"
        raise NotReplacedError(f"{path} cannot be written: {reason}; {rest}") from error
    for path in contents:
        with contextlib.suppress(OSError):
            _beside(path, _BEFORE).unlink()


def is_aside(path: Path) -> bool:
    """Tell whether the file is one that replace_all() needs for a moment."""
    return path.name.startswith(".") and path.name.endswith((f".{_UNFINISHED}", f".{_BEFORE}"))


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(f".{path.name}.{suffix}")


def _set_aside(path: Path, undo: list[tuple[Path, Callable[[], object]]]) -> None:
    before = _beside(path, _BEFORE)
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        path.rename(before)
        undo.append((path, lambda: before.rename(path)))


def _keep_aside(path: Path, undo: list[tuple[Path, Callable[[], object]]]) -> None:
    """Give what is there a second name, under which it outlives its replacement."""
    before = _beside(path, _BEFORE)
    before.unlink(missing_ok=True)
    if not os.path.lexists(path):
        undo.append((path, lambda: path.unlink(missing_ok=True)))
        return
    try:
        os.link(path, before, follow_symlinks=False)
    except OSError:  # no hard links here
        shutil.copy2(path, before, follow_symlinks=False)
    undo.append((path, lambda: before.replace(path)))


def _write_beside(path: Path, content: bytes | Link, undo: list[tuple[Path, Callable[[], object]]]) -> None:
    for folder in reversed(path.parents):
        if not folder.is_dir():
            folder.mkdir(exist_ok=True)
            undo.append((folder, folder.rmdir))
    unfinished = _beside(path, _UNFINISHED)
    unfinished.unlink(missing_ok=True)
    undo.append((unfinished, lambda: unfinished.unlink(missing_ok=True)))
    if isinstance(content, Link):
        unfinished.symlink_to(content.target)
        return
    unfinished.write_bytes(content)
    if not path.is_symlink():
        with contextlib.suppress(FileNotFoundError):
            unfinished.chmod(path.stat().st_mode & 0o777)


def _take_back(undo: list[tuple[Path, Callable[[], object]]]) -> list[Path]:
    """Do all of it, the last first; return those of which it failed."""
    left = []
    for path, action in reversed(undo):
        try:
            action()
        except OSError:
            left.append(path)
    return left
