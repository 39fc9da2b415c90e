"""The event loop within which the application is imported, as under uvicorn: some ask for it, or make tasks."""

import asyncio
import contextvars
import sys
from collections.abc import Callable

from warmfork.child.fitness import descriptors


class ImportLoop:
    """A loop that also serves the application if that has taken hold of it.

    Otherwise it is closed after the import, for a process with a loop cannot be forked.
    """

    def __init__(self, factory: Callable[[], asyncio.AbstractEventLoop] | None) -> None:
        """factory: makes loops; None for asyncio's own."""
        self._factory = factory or asyncio.new_event_loop
        # uvloop's first loop opens a pipe for all, which bears a fork.
        self._factory().close()
        self.opened_before = descriptors()
        self._loop = self._factory()
        # In which the application is imported and served: what it sets there at its import, requests see.
        self.context = contextvars.copy_context()
        self.run(lambda: None)
        self._references = sys.getrefcount(self._loop)

    def run(self, action: Callable[[], object]) -> None:
        """Do something while the loop runs."""

        async def act() -> None:
            action()

        self._loop.run_until_complete(self._loop.create_task(act(), context=self.context))

    def close_unless_held(self) -> None:
        """Take note that the application is imported."""
        if sys.getrefcount(self._loop) <= self._references:
            self._loop.close()

    def get(self) -> asyncio.AbstractEventLoop:
        """Return the loop to serve in."""
        return self._factory() if self._loop.is_closed() else self._loop
