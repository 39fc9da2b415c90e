"""Ports that a program under test is told to listen on, kept from everybody else meanwhile."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

HOST = "127.0.0.1"


@contextmanager
def reserved_port() -> Iterator[int]:
    """Yield a port that nobody listens on, and that only whoever is told of it will use.

    It stays bound here without listening: connections to it are refused, the kernel hands it to nobody else, and
    whoever sets SO_REUSEADDR, as servers do, may bind it as well and listen.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((HOST, 0))
        port: int = holder.getsockname()[1]
        yield port
