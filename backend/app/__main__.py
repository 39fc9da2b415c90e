"""Serve the application: python -m app."""

import asyncio
import os
import signal
import sys
import time
from types import FrameType
from typing import NoReturn, override

import uvicorn
from fastapi import FastAPI

from app.logs import configure_logs
from app.main import app
from app.settings import ConfigurationError, Settings, load_settings


class Server(uvicorn.Server):
    """On SIGTERM goes on serving for a while, not ready any more, and closes each connection that it answers on."""

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        """Prepare to serve on all addresses."""
        config = uvicorn.Config(
            app,
            host="0.0.0.0",  # noqa: S104 - a container's only way in
            port=settings.port,
            access_log=False,
            # The same everywhere, whatever else is installed.
            http="h11",
            loop="asyncio",
            limit_concurrency=500,  # connections, idle ones included
            log_config=None,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=20,
            timeout_keep_alive=75,  # longer than the proxy keeps idle connections, so that it is the one to close them
        )
        super().__init__(config)
        self._app = app
        self._drain_seconds = settings.drain_seconds
        self._drained_at: float | None = None

    @override
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if sig == signal.SIGTERM and self.started and self._drained_at is None:
            self._app.state.readiness.draining = True
            self._drained_at = time.monotonic() + self._drain_seconds
        else:
            self.force_exit = self.should_exit
            self.should_exit = True

    @override
    async def on_tick(self, counter: int) -> bool:
        drained = self._drained_at is not None and time.monotonic() >= self._drained_at
        return await super().on_tick(counter) or drained


def main() -> int:
    """Serve until told to stop, and end the process; return the exit status when it cannot even start."""
    try:
        settings = load_settings()
    except ConfigurationError as error:
        print(f"todo-backend: {error}", file=sys.stderr)
        return 1
    configure_logs(settings.log_format)
    # The same object as every other server is told to serve, with whatever was added to it.
    return asyncio.run(_serve(Server(app, settings)))


async def _serve(server: Server) -> NoReturn:
    await server.serve()
    sys.stdout.flush()
    # At once, for an orderly exit would wait for a thread that hangs in the database.
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
