"""What the application reads of its own files when it starts: one may be half written just then, or an older one."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from warmfork.audit import absolute, leave, listen
from warmfork.snapshot.reading import read_as_it_is
from warmfork.snapshot.sources import Sources


class StartReads:
    """Notes the Python files of the snapshot that hold something else when they are opened, until it is told to stop.

    Another tool that brings the same files may bring an older content, until the newer one is put back.
    """

    def __init__(self, sources: Sources) -> None:
        """Begin."""
        self._sources = sources
        self._opened: set[str] = set()
        self._torn: set[str] = set()
        self._is_reading = False
        listen(("open",), self._on_open)

    def stop(self) -> list[str]:
        """Note nothing more; return the files that held something else when they were opened, or do now."""
        leave(self._on_open)
        # One may have been written between the opening and the reading.
        return sorted(self._torn | set(filter(self._is_another, self._opened - self._torn)))

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
