"""Messages between the parent and a child, some with open file descriptors."""

import array
import json
import os
import socket
from typing import Any, NamedTuple

# A message must fit into the kernel's default socket buffer of 208 KiB.
_MAXIMUM_BYTES = 200 * 1024
# Linux passes at most 253 descriptors at once.
MAXIMUM_DESCRIPTORS = 200


class Message(NamedTuple):
    """What the other side says."""

    event: str
    fields: dict[str, Any]
    descriptors: list[int]


class Channel:
    """One end of a socket pair that keeps messages apart and in order."""

    def __init__(self, end: socket.socket) -> None:
        """Take over the end of a pair."""
        self._socket = end

    @classmethod
    def pair(cls) -> tuple["Channel", "Channel"]:
        """Return two connected ends."""
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(mine), cls(theirs)

    def fileno(self) -> int:
        """Return the descriptor, for selectors."""
        return self._socket.fileno()

    def detach(self) -> int:
        """Give up the descriptor, which stays open."""
        return self._socket.detach()

    def close(self) -> None:
        """Close this end; the other one sees the end of messages."""
        self._socket.close()

    def send(self, event: str, descriptors: list[int] | None = None, **fields: object) -> bool:
        """Send without waiting. Return whether the other side will get it."""
        data = json.dumps([event, fields]).encode()
        if len(data) > _MAXIMUM_BYTES:
            raise ValueError(f"a message of {len(data)} bytes, {_MAXIMUM_BYTES} are allowed")
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        try:
            # socket.send_fds and recv_fds would ignore the flags.
            self._socket.sendmsg([data], rights, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError:
            return False
        return True

    def receive(self, *, wait: bool = False) -> Message | None:
        """Return the next message, or None at the end of messages. Raises BlockingIOError when there is none yet."""
        flags = socket.MSG_CMSG_CLOEXEC | (0 if wait else socket.MSG_DONTWAIT)
        descriptors = array.array("i")
        room = socket.CMSG_LEN(MAXIMUM_DESCRIPTORS * descriptors.itemsize)
        try:
            data, rights, _, _ = self._socket.recvmsg(_MAXIMUM_BYTES, room, flags)
        except ConnectionError:
            return None
        for _, _, passed in rights:
            descriptors.frombytes(passed[: len(passed) - len(passed) % descriptors.itemsize])
        if not data:
            return None
        event, fields = json.loads(data)
        return Message(event, fields, descriptors.tolist())


def close_all(descriptors: list[int]) -> None:
    """Close the descriptors of a message that nobody takes."""
    for descriptor in descriptors:
        os.close(descriptor)
