"""Looks at all pods while somebody listens, and tells what all of them agree on."""

import asyncio
import itertools
import json
import logging
import socket
from asyncio import Task, TaskGroup, TimerHandle
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, closing
from dataclasses import asdict, dataclass
from typing import Protocol

from .connection import Connection, UnexpectedAnswerError
from .pods import Backend, BackendView, Failure, Frontend, FrontendView

# Seconds between two looks at a pod, and between two searches for pods.
LOOK_INTERVAL = 0.05
FIND_INTERVAL = 1.0
# Seconds until a pod is looked at again whose answer could not be understood: it may log each question.
PUZZLED_INTERVAL = 5.0
# Seconds for which the looks go on without a listener: a page that reloads is back at once.
LINGER = 5.0

logger = logging.getLogger("browser_reload")

type Address = tuple[str, int]
"""Host and port. The host's name may stand for many pods."""


@dataclass(frozen=True)
class State:
    """What the pods that answer serve; code and files are None where they differ or nobody answers."""

    code: str | None
    files: FrontendView | None
    failure: Failure | None

    def as_json(self) -> str:
        """Return the state as one line of ASCII."""
        return json.dumps(asdict(self))


class Pod[View](Protocol):
    """One pod, which can be looked at repeatedly."""

    async def look(self) -> View:
        """Ask what is served. Raises what `Connection.get` does."""


class Pods[View]:
    """The pods behind some addresses, which come and go."""

    def __init__(
        self, addresses: Iterable[Address], kind: Callable[[str, Connection], Pod[View]], changed: Callable[[], None]
    ) -> None:
        self._addresses = tuple(addresses)
        self._kind = kind
        self._changed = changed
        self._found: set[Address] | None = None
        self._views: dict[Address, View | None] = {}

    @property
    def views(self) -> list[View] | None:
        """What the pods that answer show, in the order of their addresses; None before all have been looked at."""
        if self._views.keys() != self._found:
            return None
        in_order = (self._views[pod] for pod in sorted(self._views))
        return [view for view in in_order if view is not None]

    async def follow(self) -> None:
        """Find the pods and look at them, again and again, until cancelled."""
        self._found, self._views = None, {}
        followed: dict[Address, Task[None]] = {}
        async with TaskGroup() as looks:
            while True:
                self._found = {pod for address in self._addresses for pod in await resolve(address)}
                for pod in followed.keys() - self._found:
                    followed.pop(pod).cancel()
                    self._views.pop(pod, None)
                for pod in self._found - followed.keys():
                    followed[pod] = looks.create_task(self._follow_pod(pod))
                self._changed()
                await asyncio.sleep(FIND_INTERVAL)

    async def _follow_pod(self, address: Address) -> None:
        host, port = address
        with closing(Connection(host, port)) as connection:
            pod = self._kind(host, connection)
            complaint = ""
            while True:
                view, interval = None, LOOK_INTERVAL
                try:
                    view = await pod.look()
                except (OSError, EOFError):
                    pass  # starting, restarting or gone
                except (UnexpectedAnswerError, LookupError, TypeError, ValueError) as error:
                    interval = PUZZLED_INTERVAL
                    if complaint != (complaint := repr(error)):
                        logger.warning("%s:%d is not watched: %s", host, port, complaint)
                self._show(address, view)
                await asyncio.sleep(interval)

    def _show(self, pod: Address, view: View | None) -> None:
        if pod not in self._views or self._views[pod] != view:
            self._views[pod] = view
            self._changed()


class Watcher:
    """Follows backends and frontends while somebody listens."""

    def __init__(self, backends: Iterable[Address], frontends: Iterable[Address]) -> None:
        self._backends = Pods[BackendView](backends, Backend, self._update)
        self._frontends = Pods[FrontendView](frontends, Frontend, self._update)
        self._listeners = 0
        self._looking: Task[None] | None = None
        self._end: TimerHandle | None = None
        self._state: State | None = None
        self._news = asyncio.Event()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Look at the pods as long as the block runs, and a little longer."""
        self._listeners += 1
        if self._end:
            self._end.cancel()
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        try:
            yield
        finally:
            self._listeners -= 1
            if not self._listeners:
                self._end = asyncio.get_running_loop().call_later(LINGER, self._rest)

    async def state_after(self, seen: State | None) -> State:
        """Return the state as soon as one is known that is not `seen`. To be called while listening."""
        while self._state is None or self._state == seen:
            await self._news.wait()
        return self._state

    async def _look(self) -> None:
        async with TaskGroup() as groups:
            groups.create_task(self._backends.follow())
            groups.create_task(self._frontends.follow())

    def _rest(self) -> None:
        if self._looking:
            self._looking.cancel()
            self._looking = self._state = None

    def _update(self) -> None:
        backends, frontends = self._backends.views, self._frontends.views
        if backends is None or frontends is None:
            return
        failures = [backend.failure for backend in backends if backend.failure]
        state = State(
            code=_agreed(backend.code for backend in backends),
            files=_agreed(frontends),
            failure=failures[0] if failures else None,
        )
        if state != self._state:
            self._state = state
            self._news.set()
            self._news = asyncio.Event()


def _agreed[View](views: Iterable[View]) -> View | None:
    """Return what all of them are; None when they differ or there is none."""
    distinct = [view for view, _ in itertools.groupby(views)]
    return distinct[0] if len(distinct) == 1 else None


async def resolve(address: Address) -> set[Address]:
    """Return the addresses of all pods behind a name; none when the name is not known."""
    host, port = address
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror:
        return set()
    return {(str(name), port) for *_, (name, *_) in found}
