"""Serve the product on one address of this machine: python -m dev."""

import argparse
import errno
import os
import signal
import socket
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

import uvicorn
from uvicorn.supervisors import ChangeReload

from app.migrate import MigrationError, migrate
from app.settings import load_settings
from dev.database import DatabaseError, Postgres
from dev.ports import listener

BACKEND = Path(__file__).parents[1]
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


def serve(listening: socket.socket, postgres: Postgres) -> None:
    """Migrate the database, then serve and reload the code until SIGINT or SIGTERM."""
    os.environ.update(DATABASE_URL=postgres.url(), LOG_FORMAT="human", METRICS_PORT="0")
    migrate(load_settings().database)
    config = uvicorn.Config(
        "dev.site:site",
        access_log=False,
        log_level="warning",
        reload=True,
        reload_dirs=[str(BACKEND / "app"), str(BACKEND / "dev")],
        server_header=False,
        timeout_graceful_shutdown=2,
    )
    print(f"http://{ADDRESS}:{listening.getsockname()[1]}  (Ctrl-C stops it, the data stay)", flush=True)
    ChangeReload(config, target=uvicorn.Server(config).run, sockets=[listening]).run()


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
            serve(listening, postgres)
    except (DatabaseError, MigrationError, PortError) as error:
        print(f"make dev: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


def _stop(_sig: int, _frame: FrameType | None) -> NoReturn:
    """Leave by way of every `finally`, until the reloader takes over the signals."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
