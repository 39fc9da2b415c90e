"""Steps in a folder that is watched."""

import select
from pathlib import Path

from warmfork.watching.watcher import Watcher


def beside(tree: Path, name: str) -> Path:
    """Return a folder outside of what is watched, with a module in it."""
    folder = tree.parent.parent / name
    folder.mkdir()
    (folder / "value.py").write_text("VALUE = 0\n")
    return folder


def save(path: Path) -> Path:
    """Add a line to the file; return its path."""
    with path.open("a") as file:
        file.write("# saved\n")
    return path


def told_until(watcher: Watcher, path: Path) -> set[Path]:
    """Return all that is told up to the path, which may be looked for only from time to time."""
    told: set[Path] = set()
    while path not in told:
        assert watcher.again_in is not None
        select.select([watcher.fileno()], [], [], watcher.again_in)
        told |= watcher.read()
    return told
