"""Which files are saved on this machine, as the kernel tells it."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Sequence
from typing import NoReturn

from fastlane.changes import Batch, Changes, Sync
from fastlane.trouble import Trouble
from warmfork.watcher import Watcher, WatchError

# Seconds in which a file that has gone may come back: some editors, vim among them, move it away and write it anew.
_ABSENCE = 0.1


async def follow(syncs: Sequence[Sync], deliver: Callable[[Batch, float], None], works: Callable[[], None]) -> NoReturn:
    """Call `deliver` with each change of the folders, and with the loop's time when it came. Raises Trouble."""
    loop = asyncio.get_running_loop()
    folders = [sync.folder for sync in syncs]
    try:
        with contextlib.closing(Watcher(folders)) as watcher:
            changes = Changes(syncs)
            works()
            while True:
                await _is_readable(watcher)
                since = loop.time()
                paths = changes.concerned(watcher.read())
                while paths and not any(map(os.path.lexists, paths)):
                    if not await _is_readable(watcher, since + _ABSENCE):
                        break
                    paths |= changes.concerned(watcher.read())
                if batch := changes.take(paths):
                    deliver(batch, since)
    except WatchError as error:
        raise Trouble(str(error)) from None


async def _is_readable(watcher: Watcher, deadline: float | None = None) -> bool:
    """Wait until there is something to read; False when there is nothing by the deadline."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(watcher.fileno(), readable.set)
    try:
        async with asyncio.timeout_at(deadline):
            return await readable.wait()
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(watcher.fileno())
