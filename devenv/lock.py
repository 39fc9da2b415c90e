"""One preparation at a time on a machine, whichever checkout it starts from."""

import contextlib
import fcntl
import os
import sys
from collections.abc import Iterator

from devenv import paths


@contextlib.contextmanager
def machine_lock() -> Iterator[None]:
    """Hold the machine's lock; wait for the holder, after naming it. Released by the kernel when the process dies."""
    paths.STATE.mkdir(parents=True, exist_ok=True)
    with (paths.STATE / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            _say(f"Waiting for another run on this machine: {file.read().strip() or 'unknown process'}.")
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(f"process {os.getpid()} ({' '.join(['devenv', *sys.argv[1:2]])}) in {paths.CHECKOUT}")
        file.flush()
        try:
            yield
        finally:
            # Lest the next holder's name be taken for this one.
            file.truncate(0)


def _say(message: str) -> None:
    """Tell the person even when the output of the program that is to run goes elsewhere."""
    print(message, file=sys.stderr, flush=True)
