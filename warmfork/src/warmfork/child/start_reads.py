"""What the application reads of its own files when it starts: one may be half written just then, an older one, or away.

What was written meanwhile, the parent knows.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from warmfork.audit import absolute, leave, listen
from warmfork.snapshot.reading import read_as_it_is
from warmfork.snapshot.sources import Sources


class StartReads:
    """Notes which files of the snapshot are opened, what else they hold then, and which folders are listed.

    Another tool that brings the same files may bring an older content, until the newer one is put back.
    """

    def __init__(self, sources: Sources) -> None:
        """Begin."""
        self._sources = sources
        self._opened: set[str] = set()
        self._listed: set[str] = set()
        self._torn: set[str] = set()
        self._is_reading = False
        listen(("open",), self._on_open)
        listen(("os.listdir", "os.scandir"), self._on_list)

    def stop(self) -> list[str]:
        """Note nothing more; return the files that held something else when they were opened, or do now."""
        leave(self._on_open)
        leave(self._on_list)
        # One may have been written between the opening and the reading.
        return sorted(self._torn | set(filter(self._is_another, self._opened - self._torn)))

    @property
    def read(self) -> list[str]:
        """The files that were opened, and the folders below the reload folders that were listed; without links."""
        listed = filter(self._is_below, map(os.path.realpath, self._listed))
        return sorted({*map(os.path.realpath, self._opened), *listed})

    def _is_below(self, folder: str) -> bool:
        path = Path(folder)
        return any(tree == path or tree in path.parents for tree in self._sources.trees)

    def _on_list(self, _: str, arguments: tuple[Any, ...]) -> None:
        # A folder may be given by its descriptor.
        with suppress(OSError, ValueError, TypeError):
            self._listed.add(absolute(arguments[0]))

    def _on_open(self, _: str, arguments: tuple[Any, ...]) -> None:
        if self._is_reading:
            return
        self._is_reading = True
        try:
            # A path may be none at all.
            with suppress(OSError, ValueError, TypeError):
                path = absolute(arguments[0])
                if path.endswith(".py") and self._sources.find(path):
                    self._opened.add(path)
                    if self._is_another(path):
                        self._torn.add(path)
        finally:
            self._is_reading = False

    def _is_another(self, path: str) -> bool:
        source = self._sources.find(path)
        try:
            return not source or read_as_it_is(Path(path)) != source.content
        except OSError:
            return True
