"""Imports libraries into the parent, and notices those that must not be there when it forks."""

import gc
import importlib
import os
import socket
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from warmfork.snapshot.loader import Importer
from warmfork.threads import lost_by_a_fork

_DESCRIPTORS = Path("/proc/self/fd")


@dataclass(frozen=True)
class Hazard:
    """A library that cannot be inherited by a fork."""

    module: str
    reason: str


def preload(names: Iterable[str], importer: Importer) -> list[Hazard]:
    """Import the modules. What cannot be imported here is left to the application, which may have its reasons."""
    hazards = []
    before = len(sys.modules)
    state = _State.now()
    for name in names:
        if name in sys.modules:
            continue
        importer.refused.clear()
        with suppress(BaseException):
            importlib.import_module(name)
        now = _State.now()
        hazards += [Hazard(name, reason) for reason in now.compare(state)]
        if importer.refused and name in sys.modules:
            # It goes on without them, in another way than it would in the application.
            hazards.append(Hazard(name, f"wants the application's own {min(importer.refused)}"))
        state = now
    if len(sys.modules) > before:
        # Objects that no collection touches stay shared with the children.
        gc.collect()
        gc.freeze()
    return hazards


@dataclass(frozen=True)
class _State:
    """What a fork would inherit."""

    threads: tuple[str, ...]
    connections: frozenset[tuple[str, str]]

    @classmethod
    def now(cls) -> "_State":
        return cls(
            tuple(lost_by_a_fork()),
            frozenset(_connections()),
        )

    def compare(self, before: "_State") -> list[str]:
        reasons = []
        reasons += [f"started the thread {name}" for name in self.threads if name not in before.threads]
        reasons += [f"opened a connection to {peer}" for _, peer in sorted(self.connections - before.connections)]
        return reasons


def _connections() -> Iterable[tuple[str, str]]:
    """Yield this process's sockets that have a named peer: a database, a broker."""
    for descriptor in _DESCRIPTORS.iterdir():
        with suppress(OSError):
            target = str(descriptor.readlink())
            if not target.startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(descriptor.name))) as copy:
                peer = copy.getpeername()
            if isinstance(peer, tuple):
                yield target, f"{peer[0]}:{peer[1]}"
            elif peer:
                yield target, str(peer)
