"""What the application reads of its own files when it starts: one may be half written just then."""

import os
from contextlib import suppress
from typing import Any

from warmfork.audit import absolute, leave, listen
from warmfork.snapshot.sources import Sources


class StartReads:
    """Notes the sizes of files of the snapshot that are opened, until it is told to stop."""

    def __init__(self, sources: Sources) -> None:
        """Begin."""
        self._sources = sources
        self._sizes: dict[str, int] = {}
        listen(("open",), self._on_open)

    def stop(self) -> list[str]:
        """Note nothing more; return the files whose sizes were not those in the snapshot."""
        leave(self._on_open)
        return sorted(path for path, size in self._sizes.items() if size != self._known_size(path))

    def _on_open(self, _: str, arguments: tuple[Any, ...]) -> None:
        # A path may be none at all.
        with suppress(OSError, ValueError, TypeError):
            path = absolute(arguments[0])
            if path.endswith(".py") and self._known_size(path) is not None:
                self._sizes[path] = os.stat(path).st_size  # noqa: PTH116

    def _known_size(self, path: str) -> int | None:
        source = self._sources.find(path)
        return len(source.content) if source else None
