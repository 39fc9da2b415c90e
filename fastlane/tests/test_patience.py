"""What takes too long, and what this machine cannot do."""

import asyncio
import sys
from pathlib import Path, PurePosixPath

import pytest

from fastlane import saves, stream
from fastlane.checkout import Batch, Checkout, Sync
from fastlane.stream import Stream
from fastlane.trouble import Trouble
from warmfork.watching.watcher import WatchError

GREETS = "import sys; sys.stdin.readline(); print('{\"ok\": true}', flush=True);"
SILENT = [sys.executable, "-c", "import sys; sys.stdin.read()"]
GREETS_ONLY = [sys.executable, "-c", f"{GREETS} sys.stdin.read()"]


def test_a_pod_that_does_not_greet_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_GREETING_PATIENCE", 0.2)

    async def connect() -> None:
        await Stream(SILENT, "token").connect(lambda: None, lambda _: None)

    with pytest.raises(Trouble, match="no greeting within 0 s"):
        asyncio.run(connect())


def test_a_pod_that_does_not_reply_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_REPLY_PATIENCE", 0.2)
    batch = Batch(1, ["app/main.py"], b"{}\n")

    async def send() -> stream.Reply:
        pod, works = Stream(GREETS_ONLY, "token"), asyncio.Event()
        connection = asyncio.create_task(pod.connect(works.set, lambda _: None))
        await works.wait()
        reply = await pod.send(batch)
        with pytest.raises(Trouble, match="no reply within 0 s"):
            await connection
        return reply

    assert asyncio.run(send()) == stream.Reply("undelivered", "no reply within 0 s, left to Tilt")


def test_without_inotify_the_cause_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(folders: list[Path]) -> None:
        raise WatchError(f"this system has no inotify for {len(folders)} folders")

    monkeypatch.setattr(saves, "Watcher", refuse)

    async def follow() -> None:
        checkout = Checkout([Sync(tmp_path, PurePosixPath("/app/app"))])
        await saves.follow(checkout, lambda _: None, lambda *_: None, lambda: None)

    with pytest.raises(Trouble, match="this system has no inotify for 1 folders"):
        asyncio.run(follow())
