"""Opens the listening sockets, before anything else: whoever connects early waits, and is answered."""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from warmfork.activation import Activation, ActivationError
from warmfork.parent.restart import State, inherited_socket
from warmfork.settings import Settings, SettingsError

_BACKLOG = 2048
_STANDARD_ERROR = 2


def bind(settings: Settings, state: State | None) -> tuple[socket.socket, Activation]:
    """Return the server's own socket and the application's further ones, new or left by a former parent.

    Raises SettingsError.
    """
    if state:
        listener, activation = inherited_socket(state.listener), Activation.inherited(state.names)
    else:
        # First, because their descriptors are fixed.
        activation = _activate(settings)
        listener = _open_own(settings)
    # Shared by all processes: one that comes second must not wait for a connection that another has accepted.
    listener.setblocking(False)
    return listener, activation


def remove_file(settings: Settings) -> None:
    """Remove the file of the server's own socket, as uvicorn does when it ends."""
    if settings.uds is not None:
        with suppress(OSError):
            Path(settings.uds).unlink()


def url(listener: socket.socket, settings: Settings) -> str:
    """Return where the server is found, for people."""
    address = listener.getsockname()
    if not isinstance(address, tuple):
        return str(address)
    host, port = address[:2]
    is_encrypted = settings.uvicorn.get("ssl_certfile") or settings.uvicorn.get("ssl_context_factory")
    return f"{'https' if is_encrypted else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def _activate(settings: Settings) -> Activation:
    sockets = {name: _open(f"--listen {name}", host, port) for name, (host, port) in settings.listen.items()}
    try:
        return Activation.place(sockets)
    except ActivationError as error:
        raise SettingsError(str(error)) from None


def _open_own(settings: Settings) -> socket.socket:
    backlog = settings.uvicorn.get("backlog", _BACKLOG)
    if settings.uds is not None:
        return _open_unix(settings.uds, backlog)
    if settings.fd is not None:
        return _inherit(settings.fd, backlog)
    return _open("--port", settings.host, settings.port, backlog)


def _inherit(descriptor: int, backlog: int) -> socket.socket:
    option = f"--fd {descriptor}"
    try:
        listening = socket.socket(fileno=os.dup(descriptor))
    except OSError as error:
        raise SettingsError(f"{option} is no socket: {error.strerror}") from None
    # What comes through standard input stays where programs look for it.
    if descriptor > _STANDARD_ERROR:
        os.set_inheritable(descriptor, False)
    with _explained(listening, option, str(listening.getsockname())):
        # Whoever opened it may only have bound it.
        listening.listen(backlog)
    return listening


def _open(option: str, host: str, port: int, backlog: int = _BACKLOG) -> socket.socket:
    """As uvicorn does it when it reloads: :: means IPv4 as well, an empty host and a name mean IPv4 alone."""
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    with _explained(listening, option, f"{host}:{port}"):
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
        except OverflowError:
            listening.close()
            raise SettingsError(f"{option}: {port} is no port; choose one from 1 to 65535, or 0 for any") from None
        listening.listen(backlog)
    return listening


def _open_unix(path: str, backlog: int) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with _explained(listening, "--uds", path):
        if _is_left_over(path):
            Path(path).unlink()
        listening.bind(path)
        # As under uvicorn: a proxy in front runs as another user.
        Path(path).chmod(0o666)
        listening.listen(backlog)
    return listening


@contextmanager
def _explained(listening: socket.socket, option: str, address: str) -> Iterator[None]:
    """Close the socket when an error occurs, and raise SettingsError for it."""
    try:
        yield
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            reason = f"{address} is taken by another process; stop it or choose another"
            if listening.family == socket.AF_UNIX and not Path(address).is_socket():
                reason = f"{address} is a file, and no socket; choose another"
        else:
            reason = f"cannot listen on {address}: {error.strerror or error}"
        raise SettingsError(f"{option}: {reason}") from None


def _is_left_over(path: str) -> bool:
    """Tell whether there is a socket on which no server listens any more."""
    if not Path(path).is_socket():
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        # A server that is too busy to take another connection is one.
        client.setblocking(False)
        return client.connect_ex(path) == errno.ECONNREFUSED
