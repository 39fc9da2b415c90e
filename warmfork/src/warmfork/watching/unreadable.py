"""Folders that may not be read: of what is in them nothing is known until they may."""

import os
from pathlib import Path

from warmfork.snapshot.folders import is_folder


class UnreadableFolders:
    """Those that could not be read when they were last looked at."""

    def __init__(self) -> None:
        """There are none."""
        self._folders: set[Path] = set()

    def add(self, folder: Path) -> None:
        """Take note of one."""
        self._folders.add(folder)

    def has_become_readable(self, path: Path) -> bool:
        """Look again; tell whether this is a folder that could not be read before, and now can."""
        was_unreadable = path in self._folders
        if is_folder(path) and not os.access(path, os.R_OK | os.X_OK, effective_ids=True):
            self._folders.add(path)
            return False
        self._folders.discard(path)
        return was_unreadable
