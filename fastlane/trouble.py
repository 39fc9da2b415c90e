"""What breaks is tried again for ever and said in one line; Tilt delivers meanwhile."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import NoReturn

# Seconds until the next try, doubled at each failure up to the longest.
_FIRST_DELAY = 0.2
_LONGEST_DELAY = 5.0
# Seconds after which what breaks is said to have worked, and its next failure is the first.
_STABLE = 5.0
# A pod that starts or ends cannot be reached for a moment: only the fourth failure in a row is worth a line.
_WORTH_A_LINE = 4

_logger = logging.getLogger(__name__)


class Trouble(Exception):  # noqa: N818 - not this program's error
    """Something outside does not work; the text says why. Worth another try."""


async def keep_trying(
    name: str, working: str, attempt: Callable[[Callable[[], None]], Awaitable[NoReturn]]
) -> NoReturn:
    """Make the attempt again and again, with growing pauses.

    attempt: ends by raising Trouble; calls its argument as soon as it works.
    working: what the log then says of `name`, once and again after a trouble that it has told.
    """
    loop = asyncio.get_running_loop()
    failures, delay = 0, _FIRST_DELAY
    is_told = True

    def works() -> None:
        nonlocal is_told
        if is_told:
            _logger.info("%s: %s", name, working)
        is_told = False

    while True:
        since = loop.time()
        try:
            await attempt(works)
        except Trouble as trouble:
            if loop.time() - since > _STABLE:
                failures, delay = 0, _FIRST_DELAY
            failures += 1
            if failures == _WORTH_A_LINE:
                is_told = True
                _logger.warning("%s: %s; left to Tilt, trying again", name, trouble)
        await asyncio.sleep(delay)
        delay = min(2 * delay, _LONGEST_DELAY)
