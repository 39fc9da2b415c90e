"""From saved files to one message."""

import logging
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from fastlane.checkout import Batch, Checkout
from warmfork.control.contents import Content, Digest, UnfitError, digest
from warmfork.snapshot.reading import BeingWrittenError

# Seconds; a file that somebody has had open for writing for so long is taken as it is.
LONGEST_WRITE = 1.0

_logger = logging.getLogger(__name__)


class Changes:
    """Knows the files as they were last seen, so that only what differs is sent."""

    def __init__(self, checkout: Checkout) -> None:
        """Look at all files. Whether a pod equals them by now is another's concern."""
        self._checkout = checkout
        self._digests: dict[Path, Digest] = {}
        # Files that somebody was writing when they were last looked at, and since when.
        self._unfinished: dict[Path, float] = {}
        for path in checkout.files():
            try:
                self._is_new(path, checkout.read(path, at_once=True))
            except UnfitError as reason:
                if path.is_symlink():
                    self._leave(path, reason)

    @property
    def is_complete(self) -> bool:
        """Whether no file was being written when take() looked at it."""
        return not self._unfinished

    def take(self, paths: Iterable[Path]) -> Batch | None:
        """Return what is new of these files and of those in folders that are gone; None when nothing is.

        A file that somebody is writing is left to a later call, whatever that is called with.
        """
        news: dict[Path, Content] = {}
        now = time.monotonic()
        for path in sorted({*self._expand(paths), *self._unfinished}):
            since = self._unfinished.pop(path, now)
            try:
                content = self._checkout.read(path, at_once=now - since > LONGEST_WRITE)
            except BeingWrittenError:
                self._unfinished[path] = since
                continue
            except UnfitError as reason:
                self._digests.pop(path, None)
                self._leave(path, reason)
                continue
            if self._is_new(path, content):
                news[path] = content
        return self._checkout.batch(news) if news else None

    def _leave(self, path: Path, reason: UnfitError) -> None:
        _logger.warning("%s: %s; left to Tilt", self._checkout.name(path), reason)

    def _expand(self, paths: Iterable[Path]) -> Iterator[Path]:
        for path in paths:
            yield path
            if path not in self._digests:
                # Perhaps a folder that has gone.
                below = f"{path}{os.sep}"
                yield from [known for known in self._digests if str(known).startswith(below)]

    def _is_new(self, path: Path, content: Content) -> bool:
        """Remember the content; tell whether it was another one before."""
        before = self._digests.pop(path, None)
        now = digest(content)
        if now is not None:
            self._digests[path] = now
        return now != before
