"""Takes page faults ahead of time.

After a fork two processes share every page of memory until one of them writes to it; that first write is a fault, in
which the kernel copies the page. Python writes wherever it looks, because it counts references, so these faults can be
a third of the time in which an application is imported and started. A standby takes them while it has nothing to do: on
the pages that a sibling, forked from the same parent and run through the same code, has written to.
"""

import ctypes
import errno
import mmap
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

# madvise(2): since Linux 5.14.
_POPULATE_WRITE = 23
# Of a page's eight bytes in /proc/PID/pagemap the last one tells: present, of a file, mapped by this process alone.
_ENTRY, _PRESENT, _FILE, _ALONE = 8, 0x80, 0x20, 0x01
_IS_WRITTEN = bytes(flags & (_PRESENT | _FILE | _ALONE) == _PRESENT | _ALONE for flags in range(256))
_WRITTEN = re.compile(rb"\x01+")


def prefault(sibling: int) -> None:
    """Get copies of the pages that a sibling has written to; do nothing where that cannot be known or done.

    sibling: its process id.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.madvise.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    with suppress(OSError):
        for start, length in _written(sibling):
            # Not all that the sibling has is here; what is not is passed over.
            if libc.madvise(start, length, _POPULATE_WRITE) and ctypes.get_errno() == errno.EINVAL:
                return


def _written(sibling: int) -> Iterator[tuple[int, int]]:
    """Yield addresses and lengths, in bytes, in this process's private memory. Raises OSError."""
    pagemap = os.open(f"/proc/{sibling}/pagemap", os.O_RDONLY)
    try:
        for start, end in _private_memory():
            entries = os.pread(pagemap, (end - start) // mmap.PAGESIZE * _ENTRY, start // mmap.PAGESIZE * _ENTRY)
            for run in _WRITTEN.finditer(entries[_ENTRY - 1 :: _ENTRY].translate(_IS_WRITTEN)):
                yield start + run.start() * mmap.PAGESIZE, len(run[0]) * mmap.PAGESIZE
    finally:
        os.close(pagemap)


def _private_memory() -> Iterator[tuple[int, int]]:
    """Yield where this process's writable memory that it shares with no file begins and ends."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        addresses, permissions, _ = line.split(maxsplit=2)
        if permissions == "rw-p":
            start, end = (int(address, 16) for address in addresses.split("-"))
            yield start, end
