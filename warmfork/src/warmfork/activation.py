"""Listening sockets beside the server's own, handed to the application by systemd's protocol (sd_listen_fds(3))."""

import os
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

_FIRST = 3


class ActivationError(Exception):
    """A socket cannot be handed over; the text says which and why."""


@dataclass(frozen=True)
class Activation:
    """Sockets that lie at the descriptors from 3 on, as the protocol wants it, with their names."""

    names: tuple[str, ...]

    @classmethod
    def place(cls, sockets: Mapping[str, socket.socket]) -> "Activation":
        """Move the sockets to their descriptors. Raises ActivationError when one is in use."""
        for descriptor, (name, listening) in enumerate(sockets.items(), _FIRST):
            if listening.fileno() == descriptor:
                listening.detach()
                continue
            if _is_open(descriptor) and not _is_reserved(descriptor):
                raise ActivationError(f"descriptor {descriptor}, which --listen {name} needs, is already open")
            os.dup2(listening.fileno(), descriptor, inheritable=False)
            listening.close()
        return cls(tuple(sockets))

    @classmethod
    def inherited(cls, names: Iterable[str]) -> "Activation":
        """Take over those that a former parent has left at their descriptors."""
        activation = cls(tuple(names))
        for descriptor in activation.descriptors:
            os.set_inheritable(descriptor, False)
        return activation

    @property
    def descriptors(self) -> range:
        """Where the sockets are."""
        return range(_FIRST, _FIRST + len(self.names))

    def close(self) -> None:
        """Give the sockets up."""
        for descriptor in self.descriptors:
            os.close(descriptor)

    def announce(self) -> None:
        """Tell the application in this process, by its environment."""
        if self.names:
            os.environ.update(
                LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(self.names)), LISTEN_FDNAMES=":".join(self.names)
            )


def reserve(count: int) -> None:
    """Keep the descriptors of so many sockets from being used for something else."""
    for descriptor in range(_FIRST, _FIRST + count):
        if not _is_open(descriptor):
            placeholder = os.open(os.devnull, os.O_RDONLY)
            if placeholder != descriptor:
                os.dup2(placeholder, descriptor)
                os.close(placeholder)


def _is_reserved(descriptor: int) -> bool:
    return os.path.samestat(os.fstat(descriptor), Path(os.devnull).stat())


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
