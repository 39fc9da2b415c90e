"""Page faults that a process takes ahead of time, because a sibling took them."""

import mmap
import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from warmfork.child.prefault import prefault

PAGES = 64
WRITTEN = range(0, PAGES, 2)


def forked(work: Callable[[], bytes]) -> tuple[int, int, int]:
    """Fork a process that does the work, writes the result to a pipe and waits; return its id and two pipe ends."""
    reading, result = os.pipe()
    waiting, release = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(release)
        try:
            os.write(result, work())
            os.read(waiting, 1)
        finally:
            os._exit(0)
    os.close(result)
    os.close(waiting)
    return pid, reading, release


def end(process: tuple[int, int, int]) -> None:
    pid, reading, release = process
    os.close(release)
    os.close(reading)
    os.waitpid(pid, 0)


def write(memory: mmap.mmap) -> int:
    """Write to every second page; return how many faults that took."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for page in WRITTEN:
        memory[page * mmap.PAGESIZE] = 1
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.parametrize("is_ahead", (True, False))
def test_what_the_sibling_has_written_to_takes_no_fault(is_ahead: bool) -> None:
    with mmap.mmap(-1, PAGES * mmap.PAGESIZE, flags=mmap.MAP_PRIVATE) as memory:
        memory[:] = b"x" * len(memory)

        def work() -> bytes:
            if is_ahead:
                prefault(sibling[0])
            return write(memory).to_bytes(4)

        sibling = forked(lambda: write(memory).to_bytes(4))
        assert int.from_bytes(os.read(sibling[1], 4)) >= len(WRITTEN)
        standby = forked(work)
        faults = int.from_bytes(os.read(standby[1], 4))
        end(standby)
        end(sibling)
        assert (faults < len(WRITTEN) / 2) == is_ahead
        assert memory[:] == b"x" * len(memory)


def test_a_sibling_that_has_gone_is_no_error() -> None:
    gone = os.fork()
    if not gone:
        os._exit(0)
    os.waitpid(gone, 0)
    assert not Path(f"/proc/{gone}").exists()
    prefault(gone)
