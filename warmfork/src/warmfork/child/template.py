"""A process that has imported the whole application, has started nothing of it, and is copied for each change.

A copy takes over what functions do in the newer files, begins the application's lifespan, and serves: nothing is
imported. Templates and copies lose their parent at once and become the reloader's own, which has asked the kernel for
orphans.
"""

import gc
import linecache
import os
import socket
from collections.abc import Callable, Iterable

from warmfork import report
from warmfork.channel import Channel, Message
from warmfork.child.executed import Executed
from warmfork.child.prefault import prefault
from warmfork.child.seeds import Seeds
from warmfork.child.swap import RefusalError
from warmfork.child.title import Title, set_title
from warmfork.memory import read_all
from warmfork.parent.processes import reap
from warmfork.server.routes import build_routes
from warmfork.snapshot.loader import Importer


class Template:
    """How a process leaves a template behind, and what becomes of that."""

    def __init__(
        self,
        application: object,
        importer: Importer,
        executed: Executed,
        seeds: Seeds,
        *,
        fork: Callable[[], int],
    ) -> None:
        """fork: as os.fork(), without what an application's own forks must let go of."""
        self._application = application
        self._importer = importer
        self._executed = executed
        self._seeds = seeds
        self._fork = fork
        # In a copy: of the change that it has taken over.
        self.generation = 0
        self.files: list[str] = []

    def leave(self, channel: Channel) -> int:
        """Leave a template behind; return the id of a process that has nothing to do but to be reaped.

        In each copy of the template this returns 0, with the change taken over, and the copy's own channel in place of
        the given one.
        """
        mine, theirs = Channel.pair()
        channel.send("template", [theirs.fileno()])
        theirs.close()
        # What is still to be passed on would be passed on by both.
        report.flush()
        if pid := fork_orphan(self._fork, channel, mine):
            return pid
        self.become(channel)
        return 0

    def become(self, channel: Channel) -> None:
        """Be the template from now on; in each copy this returns, as leave() says."""
        self._wait_for_copies(channel)
        self._wait_for_change(channel)

    def _wait_for_copies(self, channel: Channel) -> None:
        """Copy this process whenever it is asked to; return in each copy."""
        set_title(Title.TEMPLATE)
        channel.send("ready")
        is_ready = False
        while True:
            message = _next(channel)
            if not is_ready:
                # Not before: others need the processor now. What runs for this cannot be swapped.
                with self._executed.watching():
                    build_routes(self._application)
                self._executed.find_functions()
                self._seeds.find(also_frozen=False)
                # What exists by now stays: no collection need look at it, or copy its pages.
                gc.freeze()
                is_ready = True
            copy, *packed = message.descriptors
            if packed:
                try:
                    self._take_over(read_all(packed[0]), message.fields["files"])
                except RefusalError:
                    # What its copy could do.
                    os._exit(1)
            if pid := fork_orphan(self._fork, channel, Channel(socket.socket(fileno=copy))):
                reap(pid)
            else:
                if message.fields["sibling"]:
                    prefault(message.fields["sibling"])
                return

    def _wait_for_change(self, channel: Channel) -> None:
        """Take over what has changed; end where that is not possible."""
        set_title(Title.COPY)
        message = _next(channel)
        set_title(Title.STARTING)
        files = message.fields["files"]
        try:
            self._take_over(read_all(message.descriptors[0]), files)
        except RefusalError as refusal:
            channel.send("refused", reason=str(refusal))
            os._exit(0)
        self.generation = message.fields["generation"]
        self.files = files

    def _take_over(self, packed: bytes, files: Iterable[str]) -> None:
        """Let functions do what they do in the newer files. Raises RefusalError."""
        sources, record = self._importer.sources, self._importer.record
        before = {file: sources.find(file) for file in files}
        sources.unpack(packed)
        for file, source in before.items():
            if file in record.signatures:
                raise RefusalError("it was read when the application was imported")
            if source is None:
                raise RefusalError("it is new")
            if sources.find(file) is None:
                raise RefusalError("it is gone")
        swap_executed(self._importer, self._executed, before)


def fork_orphan(fork: Callable[[], int], channel: Channel, other: Channel) -> int:
    """Fork a process that loses its parent at once, and tells its id by the other channel in place of this process's.

    Return the id of the process between, which is to be reaped; 0 in the new one.
    """
    if pid := fork():
        other.close()
        return pid
    if fork():
        os._exit(0)
    channel.replace(other)
    channel.send("forked", pid=os.getpid())
    return 0


def swap_executed(importer: Importer, executed: Executed, files: Iterable[str]) -> None:
    """Let functions of these files, as far as they were executed, do what the snapshot says. Raises RefusalError."""
    record = importer.record
    sources = {file: importer.sources.find(file) for file in files if file in record.digests}
    executed.swap({file: source.code if source else None for file, source in sources.items()})
    for file, source in sources.items():
        if source:
            record.digests[file] = source.digest.hex()
            linecache.cache.pop(file, None)


def _next(channel: Channel) -> Message:
    """Wait for the reloader's next message; without a reloader there is nothing left to do."""
    message = channel.receive(wait=True)
    if message is None:
        os._exit(0)
    return message
