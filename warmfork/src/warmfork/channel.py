"""Messages between the parent and a child, some with open file descriptors."""

import array
import os
import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress
from json import dumps, loads  # not the module, in which libraries replace them by others
from typing import Any, NamedTuple

from warmfork.memory import memory_file, read_all

# Of text. A longer one is passed as a file: a message must fit into the kernel's socket buffer, by default 208 KiB,
# beside others that the other side has not read yet.
_LONGEST_TEXT = 16 * 1024
# In place of a text that is passed as a file; no text of JSON's.
_IN_A_FILE = b"file"
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

    def replace(self, other: "Channel") -> None:
        """Become the end of another pair, and close this one."""
        self._socket.close()
        self._socket = other._socket  # noqa: SLF001

    def shut_down(self) -> None:
        """Let both sides see the end of messages."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close this end; the other one sees the end of messages."""
        self._socket.close()

    def send(self, event: str, descriptors: Sequence[int] = (), **fields: object) -> bool:
        """Send a message of any size, without waiting. Return whether the other side will get it."""
        data = dumps([event, fields]).encode()
        if len(data) <= _LONGEST_TEXT:
            return self._send(data, descriptors)
        try:
            text = memory_file(data)
        except OSError:
            return False
        try:
            return self._send(_IN_A_FILE, [text, *descriptors])
        finally:
            os.close(text)

    def _send(self, data: bytes, descriptors: Sequence[int]) -> bool:
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
        passed = array.array("i")
        room = socket.CMSG_LEN((MAXIMUM_DESCRIPTORS + 1) * passed.itemsize)
        try:
            data, rights, _, _ = self._socket.recvmsg(_LONGEST_TEXT, room, flags)
        except ConnectionError:
            return None
        for _, _, numbers in rights:
            passed.frombytes(numbers[: len(numbers) - len(numbers) % passed.itemsize])
        if not data:
            return None
        descriptors = passed.tolist()
        event, fields = loads(read_all(descriptors.pop(0)) if data == _IN_A_FILE else data)
        return Message(event, fields, descriptors)


def close_all(descriptors: Iterable[int]) -> None:
    """Close the descriptors of a message that nobody takes."""
    for descriptor in descriptors:
        os.close(descriptor)
