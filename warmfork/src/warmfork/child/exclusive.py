"""What an application has started when it was imported, and must not run twice at a time."""

import contextlib
import os
import socket
import threading
from collections.abc import Iterable
from pathlib import Path

from warmfork.parent.processes import descendants


class Exclusive:
    """Compares what this process has with what it had before it imported the application."""

    def __init__(self, known: Iterable[int] = ()) -> None:
        """Take stock. known: processes that were there before; one that just loses its parent may not be found."""
        self._threads = set(threading.enumerate())
        self._children = {*descendants(os.getpid()), *known}
        self._listening = set(_listening())
        self._locks = _locks()

    def found(self) -> str:
        """Return what has been started since, in words; empty when nothing was."""
        # Threads that Python does not know of, as of a library for numbers, do no work of their own.
        threads = [thread.name for thread in threading.enumerate() if thread not in self._threads]
        words = [f"the thread {name}" for name in threads]
        words += [f"the process {pid}" for pid in self.processes()]
        return ", ".join([*words, *self.held()])

    def processes(self) -> list[int]:
        """Return the processes that have been started since, but for those of others that were there before."""
        others = self._children.union(*map(descendants, self._children))
        return sorted(set(descendants(os.getpid())) - others)

    def held(self) -> list[str]:
        """Return what has been taken since that no two processes can have, in words."""
        words = [f"a server on {_listening()[key]}" for key in sorted(_listening().keys() - self._listening)]
        return [*words, *(["a lock on a file"] if _locks() - self._locks else [])]


def _listening() -> dict[str, str]:
    """Return the addresses that this process has taken, by what identifies the socket."""
    found = {}
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        with contextlib.suppress(OSError):
            target = os.readlink(f"/proc/self/fd/{name}")  # noqa: PTH115
            if not target.startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(name))) as copy:
                if copy.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) or _is_bound(copy):
                    address = copy.getsockname()
                    found[target] = f"port {address[1]}" if isinstance(address, tuple) else str(address)
    return found


def _is_bound(one: socket.socket) -> bool:
    """Tell whether it is a socket for datagrams with an address that somebody has chosen."""
    if one.type != socket.SOCK_DGRAM or not (address := one.getsockname()):
        return False
    with contextlib.suppress(OSError):
        one.getpeername()
        # It is connected, as to a server for logs or statistics.
        return False
    if not isinstance(address, tuple):
        return True
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    return address[1] > 0 and not first <= address[1] <= last


def _locks() -> set[str]:
    """Return this process's locks of files that nobody else can have meanwhile, by what identifies the file."""
    found = set()
    for name in os.listdir("/proc/self/fdinfo"):  # noqa: PTH208
        # Not /proc/locks: the kernel lets who reads that wait for all its processors, for 10 ms and more.
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/self/fdinfo/{name}").read_text().splitlines():
                if line.startswith("lock:"):
                    # As in proc_locks(5).
                    _, _, kind, _, access, pid, file, *_ = line.split()
                    if kind != "LEASE" and access == "WRITE" and pid == str(os.getpid()):
                        found.add(file)
    return found
