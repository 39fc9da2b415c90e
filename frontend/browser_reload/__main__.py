"""Run the service: python -m browser_reload --backend backend-pods:8000 --frontend frontend-pods:8080."""

import argparse
import asyncio
import logging
import signal

from .server import Server
from .watcher import Address, Watcher


def address(text: str) -> Address:
    """Read HOST:PORT."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host, int(port)


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="browser_reload", description="Tell open pages when saved code is served.")
    pods = "{}s, all addresses that the name has; repeatable"
    parser.add_argument("--backend", type=address, action="append", required=True, help=pods.format("backend"))
    parser.add_argument("--frontend", type=address, action="append", required=True, help=pods.format("frontend"))
    parser.add_argument("--listen", type=address, default=("127.0.0.1", 8000), help="default: 127.0.0.1:8000")
    return parser.parse_args()


async def serve(chosen: argparse.Namespace) -> None:
    """Serve until SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    server = Server(Watcher(chosen.backend, chosen.frontend))
    host, port = chosen.listen
    async with await asyncio.start_server(server.handle, host, port):
        logging.getLogger("browser_reload").info("listening on %s:%d", host, port)
        await stopped.wait()
        server.close()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    asyncio.run(serve(options()))
