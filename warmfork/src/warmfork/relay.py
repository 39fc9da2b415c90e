"""Connect standard input and output to a control socket: python -m warmfork.relay SOCKET."""

import os
import selectors
import socket
import sys


def relay(path: str) -> int:
    """Pass bytes in both directions until one side ends; return the exit status."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(path)
        except OSError as error:
            print(f"warmfork relay: {path}: {error.strerror}; is warmfork running with --control?", file=sys.stderr)
            return 1
        with selectors.DefaultSelector() as selector:
            selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
            selector.register(connection, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    data = os.read(key.fd, 1 << 16)
                    if not data:
                        return 0
                    try:
                        if key.fileobj is connection:
                            _write(sys.stdout.fileno(), data)
                        else:
                            connection.sendall(data)
                    except OSError:  # the other side has ended meanwhile
                        return 0


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


if __name__ == "__main__":
    sys.exit(relay(*sys.argv[1:2]) if sys.argv[1:] else "usage: python -m warmfork.relay SOCKET")
