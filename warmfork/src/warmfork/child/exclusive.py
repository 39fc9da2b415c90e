"""What an application has started when it was imported, and must not run twice at a time."""

import contextlib
import os
import socket
import threading
from pathlib import Path

from warmfork.parent.processes import descendants


class Exclusive:
    """Compares what this process has with what it had before it imported the application."""

    def __init__(self) -> None:
        """Take stock."""
        self._threads = set(threading.enumerate())
        self._children = set(descendants(os.getpid()))
        self._listening = set(_listening())
        self._locks = _locks()

    def found(self) -> str:
        """Return what has been started since, in words; empty when nothing was."""
        # Threads that Python does not know of, as of a library for numbers, do no work of their own.
        threads = [thread.name for thread in threading.enumerate() if thread not in self._threads]
        words = [f"the thread {name}" for name in threads]
        words += [f"the process {pid}" for pid in sorted(set(descendants(os.getpid())) - self._children)]
        words += [f"a server on {_listening()[key]}" for key in sorted(_listening().keys() - self._listening)]
        words += ["a lock on a file"] if _locks() - self._locks else []
        return ", ".join(words)


def _listening() -> dict[str, str]:
    """Return the addresses of this process's listening sockets, by what identifies the socket."""
    found = {}
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        with contextlib.suppress(OSError):
            target = os.readlink(f"/proc/self/fd/{name}")  # noqa: PTH115
            if not target.startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(name))) as copy:
                if copy.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    address = copy.getsockname()
                    found[target] = f"port {address[1]}" if isinstance(address, tuple) else str(address)
    return found


def _locks() -> set[str]:
    """Return this process's locks of files, by what identifies the file."""
    with contextlib.suppress(OSError):
        found = set()
        for line in Path("/proc/locks").read_text().splitlines():
            # See proc_locks(5); a process that waits has an arrow in its line.
            _, kind, _, _, pid, file, *_ = line.replace("->", "").split()
            if kind != "LEASE" and pid == str(os.getpid()):
                found.add(file)
        return found
    return set()
