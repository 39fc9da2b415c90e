"""Files that the application reads when it is imported and that some program writes again and again, as a worker of it.

Each write would be a reload, and one that comes before the reload is over would end that, so nothing would be served.
"""

import math
import time
from pathlib import Path

from warmfork import report
from warmfork.snapshot.sources import Sources

# Changes in a row, each before the one before is served or within so many seconds after: more than a person makes.
_MOST, _PAUSE = 10, 1.0


class Restless:
    """Counts how often such a file changes before anybody can have seen what became of the change before."""

    def __init__(self, sources: Sources) -> None:
        """Nothing has changed."""
        self._sources = sources
        # How many changes in a row, and when the last one was, by what has changed.
        self._changes: dict[Path, tuple[int, float]] = {}
        self._settled = -math.inf

    def settle(self) -> None:
        """Take note that what has changed is served, or cannot be."""
        self._settled = time.monotonic()

    def leave(self, changed: set[Path]) -> set[Path]:
        """Take note of a change; return what of it counts, without what is left out from now on."""
        if not all(map(self._sources.is_followed, changed)):
            # Somebody works on the code, and a tool may write something for each save of it.
            self._changes.clear()
            return changed
        left = {path for path in changed if self._count(path) >= _MOST}
        for path in left:
            self._sources.leave(path)
            report.log(f"{report.name(path)} is written again and again, by a program: that causes no reload any more")
        return changed - left

    def _count(self, path: Path) -> int:
        now = time.monotonic()
        count, last = self._changes.get(path, (0, -math.inf))
        is_soon = last > self._settled or now - self._settled < _PAUSE
        self._changes[path] = count + 1 if count and is_soon else 1, now
        return self._changes[path][0]
