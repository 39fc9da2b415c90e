"""How a parent replaces itself by a new one: the same process, a new program, what is open stays open."""

import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from json import dumps, loads
from typing import Any, NoReturn

from warmfork import report
from warmfork.activation import Activation
from warmfork.memory import memory_file, read_all

_VARIABLE = "WARMFORK_STATE"


def inherited_socket(descriptor: int) -> socket.socket:
    """Take over a socket from a former parent; no program that the application starts gets it."""
    os.set_inheritable(descriptor, False)
    return socket.socket(fileno=descriptor)


@dataclass(frozen=True)
class State:
    """What the new parent needs to go on.

    listener: descriptor; names: of further sockets, which lie at the descriptors from 3 on; processes: pid, descriptor
    of the channel, role and generation of each; skip: libraries not to preload; exclusive: what the application
    starts and must not have twice; files: whose change is the reason.
    """

    listener: int
    names: list[str]
    processes: list[dict[str, Any]]
    generation: int
    skip: list[str]
    exclusive: str
    files: list[str]

    @classmethod
    def inherited(cls) -> "State | None":
        """Return what a former parent left, once; None at a first start."""
        number = os.environ.pop(_VARIABLE, None)
        return cls(**loads(read_all(int(number)))) if number else None

    def restart(self, environment: Mapping[str, str]) -> NoReturn:
        """Run the same command again in place of this program. Every descriptor in the state stays open."""
        # Of any size: what a program is started with must not be longer than the kernel allows.
        state = memory_file(dumps(asdict(self)).encode())
        channels = (process["channel"] for process in self.processes)
        for descriptor in (state, self.listener, *Activation(tuple(self.names)).descriptors, *channels):
            os.set_inheritable(descriptor, True)
        report.flush()
        arguments = [sys.executable, *sys.orig_argv[1:]]
        os.execve(sys.executable, arguments, {**environment, _VARIABLE: str(state)})  # noqa: S606
