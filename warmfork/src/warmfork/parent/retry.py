"""When what did not start is tried again although no file has changed since."""

import errno
import os
import re
import time
from pathlib import Path

# What errors say of an address, a file or a lock that another process has.
_TAKEN = (os.strerror(errno.EADDRINUSE), os.strerror(errno.EAGAIN), "already running", "could not be acquired")
# A lock is a file that nobody else can create meanwhile.
_IN_THE_WAY = re.compile(f"{os.strerror(errno.EEXIST)}: '(.+)'")
# Seconds until what failed while it was imported is tried again: another tool may just have been replacing files.
_SOON = 0.5
# Seconds until what failed while it started is tried again, doubled from each time to the next: a database may be away.
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0


def is_conflict(error: str, age: float) -> bool:
    """Tell whether something did not start because another process has what it needs, by what it has said.

    age: of that process, in seconds. A file that is in the way is its own when it is no older.
    """
    return any(words in error for words in _TAKEN) or any(
        _is_younger(Path(name), age) for name in _IN_THE_WAY.findall(error)
    )


def _is_younger(path: Path, seconds: float) -> bool:
    try:
        return time.time() - path.stat().st_ctime <= seconds
    except OSError:
        return False


class Retry:
    """Remembers how the last tries have failed."""

    def __init__(self) -> None:
        """Nothing has failed."""
        self._error: str | None = None
        self._pause = _FIRST_PAUSE

    @property
    def is_due(self) -> bool:
        """Whether the last try has failed."""
        return self._error is not None

    def is_known(self, error: str) -> bool:
        """Tell whether the try before has failed in the same way."""
        return self._error == error

    def failed(self, error: str, *, at_startup: bool) -> float | None:
        """Take note of a failure; return the seconds until the next try, None when only a change can help."""
        is_known, self._error = self.is_known(error), error
        if at_startup:
            pause, self._pause = self._pause, min(2 * self._pause, _LONGEST_PAUSE)
            return pause
        return None if is_known else _SOON

    def succeed(self) -> None:
        """Take note that it serves; it may not do so for long."""
        self._error = None

    def forget(self) -> None:
        """Take note that something has changed, or serves well."""
        self._error = None
        self._pause = _FIRST_PAUSE
