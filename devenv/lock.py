"""One preparation at a time on a machine, whichever checkout it starts from."""

import contextlib
import fcntl
import os
from collections.abc import Iterator

from devenv import paths
from devenv.progress import say


@contextlib.contextmanager
def machine_lock() -> Iterator[None]:
    """Hold the machine's lock; wait for the holder, after naming it. Released by the kernel when the process dies."""
    paths.STATE.mkdir(parents=True, exist_ok=True)
    with (paths.STATE / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            say(f"Waiting for another run on this machine: {file.read().strip() or 'unknown process'}.")
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(f"process {os.getpid()} in {paths.CHECKOUT}")
        file.flush()
        yield
