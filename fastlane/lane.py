"""All pods at once, and one line for each save."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from fastlane.changes import Batch
from fastlane.pods import Pod
from fastlane.stream import Reply, Stream
from fastlane.trouble import keep_trying

# So many names stand in a line; of more, the first and their number.
_NAMES = 3
_SERVED = {"reloaded", "unchanged"}

_logger = logging.getLogger(__name__)


class Lane:
    """The streams to the pods that run at present."""

    def __init__(self, tasks: asyncio.TaskGroup, connection: Callable[[Pod], Sequence[str]], token: str) -> None:
        """connection: the command that connects its standard streams to the pod's control channel."""
        self._tasks = tasks
        self._connection = connection
        self._token = token
        self._streams: dict[Pod, Stream] = {}
        self._connecting: dict[Pod, asyncio.Task[None]] = {}

    def update(self, pods: frozenset[Pod]) -> None:
        """Open streams to pods that have come, close those of pods that have gone."""
        for pod in self._streams.keys() - pods:
            del self._streams[pod]
            self._connecting.pop(pod).cancel()
        for pod in pods - self._streams.keys():
            self._streams[pod] = Stream(self._connection(pod), self._token)
            attempts = keep_trying(pod.name, "connected", self._streams[pod].connect)
            self._connecting[pod] = self._tasks.create_task(attempts)

    def deliver(self, batch: Batch, since: float) -> None:
        """Send the batch to every pod now; log later what became of it. since: the loop's time of the save."""
        replies = {pod: stream.send(batch) for pod, stream in self._streams.items()}
        self._tasks.create_task(_report(batch, since, replies))


async def _report(batch: Batch, since: float, awaited: Mapping[Pod, asyncio.Future[Reply]]) -> None:
    replies = {pod: await reply for pod, reply in awaited.items()}
    milliseconds = (asyncio.get_running_loop().time() - since) * 1000
    _logger.info("%s: %s", _summary(batch.names), _outcome(replies, milliseconds))


def _summary(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= _NAMES else f"{names[0]} and {len(names) - 1} more"


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
