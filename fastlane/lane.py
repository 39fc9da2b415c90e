"""All pods at once, and one line for each save."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from fastlane.checkout import Batch, Checkout, summary
from fastlane.pods import Pod
from fastlane.reconciler import Reconciler
from fastlane.stream import Reply, Stream
from fastlane.trouble import keep_trying

_SERVED = {"reloaded", "unchanged"}

_logger = logging.getLogger(__name__)


class _Replica:
    """One pod: the stream to it, and what keeps it equal."""

    def __init__(self, name: str, command: Sequence[str], token: str, checkout: Checkout) -> None:
        self._name = name
        self.stream = Stream(command, token)
        self.reconciler = Reconciler(name, checkout, self.stream)

    def deliver(self, batch: Batch) -> asyncio.Future[Reply]:
        """Send at once; what is refused, such as for a moment, is tried again."""
        reply = self.stream.send(batch)
        reply.add_done_callback(lambda reply: self.reconciler.take_reply(batch, reply.result()))
        return reply

    async def run(self) -> NoReturn:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.reconciler.run())
            await keep_trying(self._name, "connected", self._connect)

    async def _connect(self, works: Callable[[], None]) -> NoReturn:
        def begin() -> None:
            works()
            self.reconciler.compare_all()

        await self.stream.connect(begin, self.reconciler.take_report)


class Lane:
    """The streams to the pods that run at present."""

    def __init__(
        self, tasks: asyncio.TaskGroup, connection: Callable[[Pod], Sequence[str]], token: str, checkout: Checkout
    ) -> None:
        """connection: the command that connects its standard streams to the pod's control channel."""
        self._tasks = tasks
        self._connection = connection
        self._token = token
        self._checkout = checkout
        self._replicas: dict[Pod, _Replica] = {}
        self._running: dict[Pod, asyncio.Task[None]] = {}

    def update(self, pods: frozenset[Pod]) -> None:
        """Open streams to pods that have come, close those of pods that have gone."""
        for pod in self._replicas.keys() - pods:
            del self._replicas[pod]
            self._running.pop(pod).cancel()
        for pod in pods - self._replicas.keys():
            self._replicas[pod] = _Replica(pod.name, self._connection(pod), self._token, self._checkout)
            self._running[pod] = self._tasks.create_task(self._replicas[pod].run())

    def note(self, paths: set[Path]) -> None:
        """Take note of files that were touched here."""
        for replica in self._replicas.values():
            replica.reconciler.forget(paths)

    def deliver(self, batch: Batch, since: float) -> None:
        """Send the batch to every pod now; log later what became of it. since: the loop's time of the save."""
        replies = {pod: replica.deliver(batch) for pod, replica in self._replicas.items()}
        self._tasks.create_task(_report(batch, since, replies))


async def _report(batch: Batch, since: float, awaited: Mapping[Pod, asyncio.Future[Reply]]) -> None:
    replies = {pod: await reply for pod, reply in awaited.items()}
    milliseconds = (asyncio.get_running_loop().time() - since) * 1000
    _logger.info("%s: %s", summary(batch.names), _outcome(replies, milliseconds))


def _outcome(replies: Mapping[Pod, Reply], milliseconds: float) -> str:
    """Count the replicas that serve the change, and name those that do not, by cause."""
    if not replies:
        return "no replica runs, left to Tilt"
    outcomes = [reply.outcome for reply in replies.values()]
    failed = defaultdict(list)
    for pod, reply in sorted(replies.items()):
        if reply.outcome not in {*_SERVED, "superseded"}:
            failed[reply.error or reply.outcome].append(pod.name)
    if "superseded" in outcomes and not failed:
        return "superseded by a newer save"
    count = f"{sum(outcome in _SERVED for outcome in outcomes)} of {len(replies)} replicas"
    if not failed:
        return f"{count} in {milliseconds:.0f} ms"
    return "; ".join([count, *(f"{', '.join(names)}: {error}" for error, names in failed.items())])
