"""The event loop within which the application is imported, as under uvicorn: some ask for it, or make tasks."""

import asyncio
import contextvars
import dataclasses
import sys
from collections.abc import Callable, Container

from warmfork.child.fitness import Holdings, descriptors


class ImportLoop:
    """A loop that also serves the application if that has taken hold of it.

    Otherwise it is closed after the import, for a process with a loop cannot be forked.
    """

    def __init__(self, factory: Callable[[], asyncio.AbstractEventLoop] | None) -> None:
        """factory: makes loops; None for asyncio's own."""
        self._factory = factory or asyncio.new_event_loop
        # uvloop's first loop opens a pipe for all, which bears a fork.
        self._factory().close()
        self.held_before = Holdings()
        self._loop = self._factory()
        # In which the application is imported and served: what it sets there at its import, requests see.
        self.context = contextvars.copy_context()
        self.run(lambda: None)
        self._references = sys.getrefcount(self._loop)

    @property
    def opened(self) -> set[int]:
        """Descriptors that were opened since this was made."""
        return set(self.held_before.opened_since())

    def inherit(self, opened: Container[int]) -> None:
        """In a fork: take all but these descriptors for such as were there before."""
        # uvloop's pipe is another one now.
        self._factory().close()
        inherited = {number: name for number, name in descriptors().items() if number not in opened}
        self.held_before = dataclasses.replace(self.held_before, descriptors=inherited)

    def run(self, action: Callable[[], object]) -> None:
        """Do something while the loop runs; while another one does where it was closed."""
        if not self.is_open:
            self._loop = self._factory()

        async def act() -> None:
            action()

        self._loop.run_until_complete(self._loop.create_task(act(), context=self.context))

    @property
    def is_open(self) -> bool:
        """Whether there is a loop, with which this process cannot be forked."""
        return not self._loop.is_closed()

    def close_unless_held(self) -> None:
        """Close it, unless what was imported has taken hold of it."""
        if sys.getrefcount(self._loop) <= self._references:
            self._loop.close()

    def get(self) -> asyncio.AbstractEventLoop:
        """Return the loop to serve in."""
        return self._loop if self.is_open else self._factory()
