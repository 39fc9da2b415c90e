"""Keeps one pod equal to the checkout, whatever else writes to it.

Tilt copies the same files later and by another way, and now and then a half of one that is being saved: warmfork tells
what becomes of them, and what differs from the checkout is sent again.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from fastlane.changes import LONGEST_WRITE
from fastlane.checkout import Batch, Checkout, summary
from fastlane.saves import ABSENCE
from fastlane.stream import Reply, Stream
from fastlane.trouble import Trouble
from warmfork.control.contents import UNFIT, Content, Digest, UnfitError, digest
from warmfork.snapshot.reading import BeingWrittenError

# Seconds after a file's last change in the pod: whoever copies there may not have finished with it. Doubled with each
# repair of the same file, up to the longest.
_SETTLING = 0.1
_LONGEST_SETTLING = 5.0
# Seconds until a file that is being written here is looked at again.
_UNFINISHED = 0.05
# Repairs of one file between two saves of it; more would be a fight with whatever changes it there.
_MOST_REPAIRS = 5
# Seconds after which a repair has lasted.
_LASTING = 30.0
# Bytes in one message.
_MOST_AT_ONCE = 16 << 20

_logger = logging.getLogger(__name__)


class _Told(NamedTuple):
    """What the pod holds. since: when that was told; due: when it is to be compared; both in the loop's time."""

    there: Digest | None
    since: float
    due: float


class _Repairs(NamedTuple):
    """How often a file has been sent again, and until when that counts."""

    number: int
    until: float


class Reconciler:
    """What is known of one pod's files that may not be as they are here."""

    def __init__(self, name: str, checkout: Checkout, stream: Stream) -> None:
        """name: how people call the pod."""
        self._name = name
        self._checkout = checkout
        self._stream = stream
        self._told: dict[Path, _Told] = {}
        # Folders there of which all is to be asked for.
        self._stale: set[str] = set()
        self._repairs: dict[Path, _Repairs] = {}
        self._news = asyncio.Event()

    def compare_all(self) -> None:
        """Find out what differs, for nothing is known any more."""
        self._told.clear()
        self._stale.update(self._checkout.targets)
        self._news.set()

    def forget(self, paths: Iterable[Path]) -> None:
        """Begin to count anew: these files have been touched here."""
        for path in paths:
            self._repairs.pop(path, None)

    def take_reply(self, batch: Batch, reply: Reply) -> None:
        """Take note of what became of a save: what was refused is not as it should be."""
        if reply.outcome == "refused":
            for path in batch.paths:
                self._note(path, UNFIT)
            self._news.set()

    def take_report(self, event: Mapping[str, Any]) -> None:
        """Take in what others have changed in the pod. Raises Trouble when that cannot be understood."""
        for there, found in _digests(event).items():
            path = self._checkout.here(there)
            if path is None:
                continue
            self._note(path, found)
            if found is None:
                # Perhaps a folder that has gone, with all that was in it.
                for below in self._checkout.files(path):
                    self._note(below, None)
        stale = event.get("stale")
        self._stale.update(map(str, stale if isinstance(stale, list) else ()))
        self._news.set()

    async def run(self) -> NoReturn:
        """Repair what differs, for ever."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._news.clear()
                # Without a stream nothing can be done; the next one begins with a comparison of everything.
                with contextlib.suppress(Trouble):
                    while self._stale:
                        await self._ask(self._stale.pop())
                    await self._repair(tasks)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(min((told.due for told in self._told.values()), default=None)):
                        await self._news.wait()

    def _note(self, path: Path, there: Digest | None) -> None:
        now = asyncio.get_running_loop().time()
        repairs = self._repairs.get(path)
        number = repairs.number if repairs and repairs.until > now else 0
        since = told.since if (told := self._told.get(path)) else now
        self._told[path] = _Told(there, since, now + min(_SETTLING * 2**number, _LONGEST_SETTLING))

    async def _ask(self, folder: str) -> None:
        """Find out what differs below a folder of the pod."""
        here = self._checkout.here(folder)
        if here is None:
            return
        files: dict[str, Digest | None] = {}
        has_more = True
        while has_more:
            reply = await self._stream.ask(op="digests", below=folder, after=max(files, default=""))
            if reply.get("ok") is not True:
                _logger.warning("%s: not compared: %s", self._name, reply.get("error"))
                return
            page = _digests(reply)
            files.update(page)
            has_more = reply.get("more") is True and bool(page)
        there = {path: found for name, found in files.items() if (path := self._checkout.here(name))}
        missing = dict.fromkeys(set(self._checkout.files(here)) - there.keys())
        # In a thread: these may be thousands.
        differing, unfinished = await asyncio.to_thread(self._compare, {**there, **missing})
        for path in (*differing, *unfinished):
            self._note(path, there.get(path))

    async def _repair(self, tasks: asyncio.TaskGroup) -> None:
        """Send again what differs still."""
        now = asyncio.get_running_loop().time()
        due = {path: told for path, told in self._told.items() if told.due <= now}
        for path in due:
            del self._told[path]
        at_once = {path for path, told in due.items() if now - told.since > LONGEST_WRITE}
        known = {path: told.there for path, told in due.items()}
        differing, unfinished = await asyncio.to_thread(self._compare, known, at_once)
        for path in unfinished:
            self._told.setdefault(path, due[path]._replace(due=now + _UNFINISHED))
        if gone := {path: known[path] for path, content in differing.items() if content is None}:
            await asyncio.sleep(ABSENCE)
            differing = {path: content for path, content in differing.items() if path not in gone}
            differing.update((await asyncio.to_thread(self._compare, gone))[0])
        # Read again and sent in the same step: what was there before a save must not be sent after it.
        differing, _ = self._compare({path: known[path] for path in differing}, at_once)
        for news in _portions({path: differing[path] for path in sorted(differing) if self._is_worth_it(path, now)}):
            batch = self._checkout.batch(news)
            tasks.create_task(self._conclude(batch, self._stream.send(batch)))

    async def _conclude(self, batch: Batch, awaited: asyncio.Future[Reply]) -> None:
        """Take note of what became of a repair."""
        reply = await awaited
        # What is told may be older than what was sent meanwhile: then it was equal already.
        if reply.outcome == "undelivered" or (reply.outcome != "refused" and not reply.written):
            return
        now = asyncio.get_running_loop().time()
        is_first = not any(path in self._repairs for path in batch.paths)
        for path in batch.paths:
            number = self._repairs[path].number if path in self._repairs else 0
            self._repairs[path] = _Repairs(number + 1, now + _LASTING)
        self.take_reply(batch, reply)
        if reply.outcome == "refused":
            if is_first:
                _logger.warning("%s: differed in %s, but: %s", summary(batch.names), self._name, reply.error)
        else:
            error = f"; {reply.error}" if reply.error else ""
            _logger.info("%s: differed in %s, sent again%s", summary(batch.names), self._name, error)

    def _is_worth_it(self, path: Path, now: float) -> bool:
        """Tell whether to send the file again; say once when not."""
        repairs = self._repairs.get(path)
        if not repairs or repairs.until < now:
            self._repairs.pop(path, None)
            return True
        if repairs.number == _MOST_REPAIRS:
            text = "%s: differed again in %s after each of %d repairs; left to Tilt until it is saved again"
            _logger.warning(text, self._checkout.name(path), self._name, _MOST_REPAIRS)
            self._repairs[path] = _Repairs(repairs.number + 1, float("inf"))
        return repairs.number < _MOST_REPAIRS

    def _compare(
        self, known: Mapping[Path, Digest | None], at_once: Iterable[Path] = ()
    ) -> tuple[dict[Path, Content], set[Path]]:
        """Return what lies here of the files that differ, and which of them somebody is writing."""
        differing: dict[Path, Content] = {}
        unfinished = set()
        for path, there in known.items():
            try:
                here = self._checkout.read(path, at_once=path in at_once)
            except BeingWrittenError:
                unfinished.add(path)
            except UnfitError:
                continue
            else:
                if _is_to_be_sent(path, here, there):
                    differing[path] = here
        return differing, unfinished


def _is_to_be_sent(path: Path, here: Content, there: Digest | None) -> bool:
    """Tell whether the pod's file is not as it should be.

    Code always has to be equal. Another file the application may write itself: only when it is missing or a beginning
    of what it should be, as it is after a copy of a half.
    """
    if digest(here) == there:
        return False
    if path.suffix == ".py" or path.name.startswith(".env"):
        return True
    if here is None:
        return False
    return there is None or (isinstance(here, bytes) and there == digest(here[: there.size]))


def _portions(news: Mapping[Path, Content]) -> list[dict[Path, Content]]:
    """Return the files in groups that are not too large for one message."""
    portions: list[dict[Path, Content]] = []
    size = 0
    for path, content in news.items():
        more = len(content) if isinstance(content, bytes) else 0
        if not portions or size + more > _MOST_AT_ONCE:
            portions.append({})
            size = 0
        portions[-1][path] = content
        size += more
    return portions


def _digests(fields: Mapping[str, Any]) -> dict[str, Digest | None]:
    files: Any = fields.get("files")
    try:
        return {
            str(there): None if found is None else Digest(str(found[0]), int(found[1]))
            for there, found in files.items()
        }
    except (AttributeError, LookupError, TypeError, ValueError):
        raise Trouble(f"what came are no digests: {str(files)[:60]}") from None
