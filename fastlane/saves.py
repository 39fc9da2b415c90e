"""Which files are saved on this machine, as the kernel tells it."""

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from fastlane.changes import Changes
from fastlane.checkout import Batch, Checkout
from fastlane.trouble import Trouble
from warmfork.watching.watcher import Watcher, WatchError

# Seconds in which a file that has gone may come back: some editors, vim among them, move it away and write it anew.
ABSENCE = 0.1
# Seconds until a file that somebody was writing is looked at again: its end may have been told already.
_UNFINISHED = 0.02


async def follow(
    checkout: Checkout,
    note: Callable[[set[Path]], None],
    deliver: Callable[[Batch, float], None],
    works: Callable[[], None],
) -> NoReturn:
    """Call `deliver` with each change of the checkout, and with the loop's time when it came. Raises Trouble.

    note: is called with all files that were touched, changed or not.
    """
    loop = asyncio.get_running_loop()
    try:
        with contextlib.closing(Watcher(checkout.folders)) as watcher:
            changes = Changes(checkout)
            works()
            since = loop.time()
            while True:
                is_complete = changes.is_complete
                await _is_readable(watcher, None if is_complete else loop.time() + _UNFINISHED)
                if is_complete:
                    since = loop.time()
                paths = checkout.concerned(watcher.read())
                while paths and not any(map(os.path.lexists, paths)):
                    if not await _is_readable(watcher, since + ABSENCE):
                        break
                    paths |= checkout.concerned(watcher.read())
                note(paths)
                if batch := changes.take(paths):
                    deliver(batch, since)
    except WatchError as error:
        raise Trouble(str(error)) from None


async def _is_readable(watcher: Watcher, deadline: float | None = None) -> bool:
    """Wait until there may be something to read; False when there is nothing by the deadline."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(watcher.fileno(), readable.set)
    # While git is at work, and of folders that the kernel does not watch, the descriptor does not tell.
    again = None if watcher.again_in is None else loop.time() + watcher.again_in
    times = [time for time in (again, deadline) if time is not None]
    try:
        async with asyncio.timeout_at(min(times, default=None)):
            return await readable.wait()
    except TimeoutError:
        return again is not None and (deadline is None or again < deadline)
    finally:
        loop.remove_reader(watcher.fileno())
