"""Which threads of this process a fork of it would lack."""

import os
import threading

from warmfork.parent.processes import reap


def lost_by_a_fork() -> list[str]:
    """Return the names of threads that Python has started here and that are not there in a fork.

    Some come back by themselves (os.register_at_fork), and only trying it tells. Threads that Python does not know of,
    as of a library for numbers, are started again by their library when it needs them.
    """
    here = {thread.name for thread in threading.enumerate()}
    if len(here) == 1:
        return []
    reading, writing = os.pipe()
    if pid := os.fork():
        os.close(writing)
        with os.fdopen(reading, "rb") as found:
            there = set(found.read().decode().split("\0"))
        reap(pid)
        return sorted(here - there)
    try:
        os.write(writing, "\0".join(thread.name for thread in threading.enumerate()).encode())
    finally:
        os._exit(0)
