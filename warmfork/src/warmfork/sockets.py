"""Opens the listening sockets, before anything else: whoever connects early waits, and is answered."""

import errno
import os
import socket

from warmfork.activation import Activation, ActivationError
from warmfork.restart import State
from warmfork.settings import Settings, SettingsError

_BACKLOG = 2048


def bind(settings: Settings, state: State | None) -> tuple[socket.socket, Activation]:
    """Return the server's own socket and the application's further ones, new or left by a former parent.

    Raises SettingsError.
    """
    if state:
        listener, activation = socket.socket(fileno=state.listener), Activation(tuple(state.names))
    else:
        # First, because their descriptors are fixed.
        activation = _activate(settings)
        listener = _open_own(settings)
    # Shared by all processes: one that comes second must not wait for a connection that another has accepted.
    listener.setblocking(False)
    return listener, activation


def _activate(settings: Settings) -> Activation:
    sockets = {name: _open(f"--listen {name}", host, port) for name, (host, port) in settings.listen.items()}
    try:
        return Activation.place(sockets)
    except ActivationError as error:
        raise SettingsError(str(error)) from None


def _open_own(settings: Settings) -> socket.socket:
    if settings.fd is not None:
        try:
            return socket.socket(fileno=os.dup(settings.fd))
        except OSError as error:
            raise SettingsError(f"--fd {settings.fd} is no socket: {error.strerror}") from None
    if settings.uds is not None:
        return _open_unix(settings.uds)
    return _open("--port", settings.host, settings.port)


def _open(option: str, host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OverflowError:
        raise SettingsError(f"{option}: {port} is no port; choose one from 1 to 65535, or 0 for any") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            reason = f"{host}:{port} is taken by another process; stop it or choose another port"
            raise SettingsError(f"{option}: {reason}") from None
        raise SettingsError(f"{option}: cannot listen on {host}:{port}: {error.strerror}") from None


def _open_unix(path: str) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.bind(path)
        listening.listen(_BACKLOG)
    except OSError as error:
        raise SettingsError(f"--uds: cannot listen on {path}: {error.strerror}") from None
    return listening
