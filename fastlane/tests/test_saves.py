"""Files that are gone for a moment while they are saved."""

import asyncio
import contextlib
import json
from pathlib import Path, PurePosixPath

import pytest

from fastlane import saves
from fastlane.checkout import Batch, Checkout, Sync
from warmfork.watching.watcher import Watcher


async def first_batch(app: Path, monkeypatch: pytest.MonkeyPatch, *, comes_back: bool) -> Batch:
    """Move main.py away as vim does, write it anew once its absence has been noticed, and return what is sent."""
    works, is_missed = asyncio.Event(), asyncio.Event()
    batches: asyncio.Queue[Batch] = asyncio.Queue()
    is_readable = saves._is_readable

    async def noticed(watcher: Watcher, deadline: float | None = None) -> bool:
        if deadline is not None:
            is_missed.set()
        return await is_readable(watcher, deadline)

    monkeypatch.setattr(saves, "_is_readable", noticed)
    checkout = Checkout([Sync(app, PurePosixPath("/app/app"))])
    following = asyncio.create_task(
        saves.follow(checkout, lambda _: None, lambda batch, _: batches.put_nowait(batch), works.set)
    )
    await works.wait()
    (app / "main.py").rename(app / "main.py~")
    await is_missed.wait()
    if comes_back:
        (app / "main.py").write_text("version = 2\n")
        (app / "main.py~").unlink()
    batch = await batches.get()
    following.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await following
    return batch


def test_a_file_that_is_moved_away_and_written_anew_is_never_missing(
    app: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However long the machine takes to write it.
    monkeypatch.setattr(saves, "ABSENCE", 60)
    (change,) = json.loads(asyncio.run(first_batch(app, monkeypatch, comes_back=True)).message)["changes"]
    assert "content" in change


def test_a_file_that_does_not_come_back_is_deleted(app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (change,) = json.loads(asyncio.run(first_batch(app, monkeypatch, comes_back=False)).message)["changes"]
    assert change["deleted"] is True
