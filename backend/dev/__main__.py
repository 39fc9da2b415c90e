"""Serve the product on one address of this machine: python -m dev."""

import argparse
import errno
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

from app.migrate import MigrationError, migrate
from app.settings import load_settings
from dev.database import DatabaseError, Postgres
from dev.ports import listener

BACKEND = Path(__file__).parents[1]
WARMFORK = BACKEND.parent / "warmfork" / "src"
ADDRESS = "127.0.0.1"


class PortError(Exception):
    """The address is not to be had; the text is for the person at the keyboard."""


def bind(port: int) -> socket.socket:
    """Take the port before anything slow is started.

    Raises PortError, which names the process that has it.
    """
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((ADDRESS, port))
        # Two sockets may be bound to one port until the first of them listens.
        taken.listen()
    except OverflowError:
        taken.close()
        raise PortError(f"{port} is no port; choose one from 1024 to 65535") from None
    except OSError as error:
        taken.close()
        if error.errno != errno.EADDRINUSE:
            raise PortError(f"cannot listen on {ADDRESS}:{port}: {error.strerror}") from None
        holder = listener(port) or "another process"
        raise PortError(f"port {port} is taken by {holder}; stop it, or run: make dev PORT={port + 10}") from None
    taken.set_inheritable(True)
    return taken


def serve(listening: socket.socket, postgres: Postgres) -> int:
    """Migrate the database, then serve and reload the code until SIGINT or SIGTERM; return the exit status."""
    os.environ.update(DATABASE_URL=postgres.url(), LOG_FORMAT="human", METRICS_PORT="0")
    migrate(load_settings().database)
    command = [sys.executable, "-m", "warmfork", "dev.site:site", "--fd", str(listening.fileno())]
    command += [
        "--reload-dir",
        "app",
        "--reload-dir",
        "dev",
        "--env-file",
        ".env",
        "--no-access-log",
        "--no-server-header",
    ]
    print(f"http://{ADDRESS}:{listening.getsockname()[1]}  (Ctrl-C stops it, the data stay)", flush=True)
    # A group of its own, so that Ctrl-C reaches it once: from here.
    with subprocess.Popen(
        command,
        cwd=BACKEND,
        env={**os.environ, "PYTHONPATH": str(WARMFORK)},
        pass_fds=[listening.fileno()],
        process_group=0,
    ) as server:
        try:
            return server.wait()
        finally:
            server.terminate()


def main() -> int:
    """Run until told to stop; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m dev", description=__doc__)
    parser.add_argument("--port", type=int, default=os.environ.get("PORT") or "8080")
    parser.add_argument("--data", type=Path, default=BACKEND / ".postgres", help="folder of the database")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, _stop)
    try:
        postgres = Postgres(arguments.data)
        postgres.claim()
        with bind(arguments.port) as listening, postgres:
            return serve(listening, postgres)
    except (DatabaseError, MigrationError, PortError) as error:
        print(f"make dev: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


def _stop(_sig: int, _frame: FrameType | None) -> NoReturn:
    """Leave by way of every `finally`."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
