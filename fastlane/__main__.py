"""Sends saved files to all pods at once, ahead of Tilt's live update, over streams that are kept open.

Tilt stays the source of truth: what cannot be delivered here is left to it.
"""

import argparse
import asyncio
import contextlib
import io
import logging
import os
import secrets
import signal
import stat
import sys
from typing import NoReturn

from fastlane import saves
from fastlane.checkout import Checkout, Sync
from fastlane.lane import Lane
from fastlane.pods import Cluster
from fastlane.trouble import keep_trying

_TOKEN_BYTES = 32


def main() -> None:
    """Run until SIGTERM or SIGINT comes, or nobody is left who reads what this prints."""
    arguments = _arguments()
    # A file's name need not be text.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    # How the kernel tells that somebody waits to write a file that is being read; see warmfork.snapshot.reading.
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    logging.basicConfig(format="fast lane: %(message)s", level=logging.INFO, stream=sys.stdout)
    asyncio.run(_run(arguments))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="fastlane", description=__doc__)
    parser.add_argument("--context", help="context of the kubeconfig (default: the current one)")
    parser.add_argument("--namespace", required=True, help="of the pods")
    parser.add_argument("--selector", required=True, help="labels of the pods: app.kubernetes.io/component=backend")
    parser.add_argument("--container", required=True, help="where warmfork runs in the pods")
    parser.add_argument("--control", required=True, metavar="SOCKET", help="path of warmfork's control socket there")
    parser.add_argument(
        "--sync",
        required=True,
        action="append",
        type=_sync,
        metavar="HERE=THERE",
        help="a folder, and the one in the pods that is to equal it: backend/app=/app/app; repeatable",
    )
    return parser.parse_args()


def _sync(text: str) -> Sync:
    try:
        return Sync.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


async def _run(arguments: argparse.Namespace) -> None:
    running = asyncio.create_task(_follow(arguments))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running.cancel)
    if stat.S_ISFIFO(os.fstat(sys.stdout.fileno()).st_mode):
        # A pipe's end for writing becomes readable when the other one closes: Tilt was killed.
        loop.add_reader(sys.stdout, running.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def _follow(arguments: argparse.Namespace) -> NoReturn:
    kubectl = ["kubectl", *(["--context", arguments.context] if arguments.context else [])]
    cluster = Cluster(kubectl, arguments.namespace, arguments.selector, arguments.container)
    relay = ["python", "-m", "warmfork.relay", arguments.control]
    checkout = Checkout(arguments.sync)
    async with asyncio.TaskGroup() as tasks:
        lane = Lane(tasks, lambda pod: cluster.execution(pod, relay), secrets.token_hex(_TOKEN_BYTES), checkout)
        files = keep_trying(
            ", ".join(sync.name(sync.folder) for sync in arguments.sync),
            "watched",
            lambda works: saves.follow(checkout, lane.note, lane.deliver, works),
        )
        tasks.create_task(files)
        await keep_trying(
            f"pods with {arguments.selector}", "followed", lambda works: cluster.follow(lane.update, works)
        )


if __name__ == "__main__":
    main()
