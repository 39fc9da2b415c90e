"""Takes changed files from a stream, for a sender that is faster than whatever else copies them.

Another tool may deliver the same files later. Equal content is no change. An older content that arrives after a newer
one is recognised, because the digests of what was sent are remembered, and the newest is put back. What else becomes
of a file is told to the sender, as a digest, so that it can send again what should not be so.
"""

import base64
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from warmfork.control.contents import MAXIMUM_BYTES, Content, Digest, Link, digest, digest_at, listing
from warmfork.control.replacing import NotReplacedError, is_aside, replace_all
from warmfork.control.stream import ControlStream, RefusalError
from warmfork.events import EventLoop
from warmfork.settings import SettingsError
from warmfork.snapshot.folders import is_folder, is_link
from warmfork.snapshot.reading import BeingWrittenError

_SHORTEST_TOKEN = 32
# Contents of one file that are remembered.
_MEMORY = 32
# Bytes of digests in one line, for a line must fit into a socket's buffer.
_PAGE = 1 << 16
# Seconds in which changes of others are gathered for one report: a tool that replaces a file makes two of it.
_GATHERING = 0.05
# Seconds; a file that somebody has had open for writing for so long is taken as it is.
_LONGEST_WRITE = 1.0


class Reloader(Protocol):
    """What brings changed files to the requests."""

    def reload(self, paths: set[Path], answer: "Callable[[Outcome], None]") -> None:
        """Take notice of changed files, and answer when their effect is known."""

    def describe(self) -> dict[str, Any]:
        """Return the state of all processes, for JSON."""


@dataclass(frozen=True)
class Outcome:
    """What came of a change: "reloaded", "unchanged", "failed" or "superseded", and the error of a failed one."""

    outcome: str
    error: str | None = None


@dataclass
class _Delivery:
    """What was sent for one file: its newest content, None when it was deleted, and digests, the newest last."""

    content: Content = None
    digests: list[Digest | None] = field(default_factory=list)

    def remember(self, found: Digest | None) -> None:
        self.digests = [*[known for known in self.digests if known != found][-_MEMORY:], found]


class Control:
    """The listening socket, and the one sender that may be connected."""

    def __init__(self, path: Path, roots: list[Path], reloader: Reloader, events: EventLoop) -> None:
        """Listen at the path, with access for this user alone. Raises SettingsError.

        From now on this process ignores SIGIO.
        """
        signal.signal(signal.SIGIO, signal.SIG_IGN)
        self.path = path
        self._roots = roots
        self._reloader = reloader
        self._events = events
        self._deliveries: dict[Path, _Delivery] = {}
        # What others have changed and the sender has not been told yet, and since when.
        self._foreign: dict[Path, float] = {}
        # What has been written and not been told to the reloader yet: files, and who waits to hear of their effect.
        self._written: list[tuple[set[Path], Callable[[Outcome], None]]] = []
        self._token: str | None = None
        self._streams: set[ControlStream] = set()
        self._listener = _listen(path)
        events.watch(self._listener.fileno(), self._accept)

    def close(self) -> None:
        """Stop listening and hang up."""
        for stream in list(self._streams):
            stream.close()
        self._events.unwatch(self._listener.fileno())
        self._listener.close()
        self.path.unlink(missing_ok=True)

    # --- what others change

    def put_back(self, paths: Iterable[Path], is_being_written: Callable[[Path], bool]) -> None:
        """Restore the newest content of files that somebody has overwritten with an older one that was sent before.

        What else has changed, the sender is told shortly after.
        """
        for path in paths:
            if path in self._deliveries and self._is_as_sent(path, is_being_written, may_come=True):
                self._foreign.pop(path, None)
            elif self._token and not is_aside(path) and any(root in {path, *path.parents} for root in self._roots):
                self._tell_later(path)

    def _is_as_sent(self, path: Path, is_being_written: Callable[[Path], bool], *, may_come: bool) -> bool:
        """Tell whether the file is as it was sent last, after putting that back over an older content.

        may_come: somebody may be about to write a file that is away; tar deletes each before it writes it.
        """
        delivery = self._deliveries[path]
        try:
            found = digest_at(path)
        except BeingWrittenError:
            return False
        if found == delivery.digests[-1]:
            return True
        if found not in delivery.digests:
            if not (is_being_written(path) or (found is None and may_come)):
                # Neither old nor ours: somebody has saved this file by another way.
                del self._deliveries[path]
            return False
        try:
            replace_all({path: delivery.content})
        except NotReplacedError:
            return False
        return True

    def _tell_later(self, path: Path) -> None:
        is_first = not self._foreign
        self._foreign.setdefault(path, time.monotonic())
        if is_first:
            self._events.call_later("report", _GATHERING, self._report)

    def _report(self) -> None:
        """Tell the sender what became of the files that others have changed."""
        foreign, self._foreign = self._foreign, {}
        files: dict[str, Digest | None] = {}
        folders: set[str] = set()
        for path, since in foreign.items():
            is_new = time.monotonic() - since < _GATHERING
            if path in self._deliveries and self._is_as_sent(path, lambda _: False, may_come=is_new):
                continue
            if is_folder(path) and not is_link(path):
                folders.add(str(path))
                continue
            try:
                files[str(path)] = digest_at(path, at_once=time.monotonic() - since > _LONGEST_WRITE)
            except BeingWrittenError:
                self._tell_later(path)
                self._foreign[path] = since
        if len(json.dumps([files, *folders])) > _PAGE:
            files, folders = {}, set(map(str, self._roots))
        if files or folders:
            for stream in list(self._streams):
                if stream.is_admitted:
                    stream.say({"event": "digests", "files": files, "stale": sorted(folders)})

    # --- what a sender asks for

    def claim(self, stream: ControlStream, token: object) -> dict[str, Any]:
        """Let a sender in, unless another one is connected."""
        if not isinstance(token, str) or len(token) < _SHORTEST_TOKEN:
            raise RefusalError(f"the token has fewer than {_SHORTEST_TOKEN} characters")
        if self._token not in {None, token}:
            raise RefusalError("another sender is connected")
        self._token = token
        stream.is_admitted = True
        return {"roots": [str(root) for root in self._roots], **self._reloader.describe()}

    def apply(self, changes: object, answer: Callable[[dict[str, Any]], None]) -> None:
        """Write the files, all or none, and reload. Answers with the outcome and the number of files that differed."""
        if not isinstance(changes, list) or not changes:
            raise RefusalError("there are no changes")
        contents = dict(self._check(change) for change in changes)
        before = {path: digest_at(path, at_once=True) for path in contents}
        try:
            replace_all(contents)
        except NotReplacedError as error:
            raise RefusalError(str(error)) from error
        for path, content in contents.items():
            delivery = self._deliveries.setdefault(path, _Delivery())
            if not delivery.digests:
                # What the file held until now may arrive once more, too.
                delivery.remember(before[path])
            delivery.content = content
            delivery.remember(digest(content))
        written = sum(before[path] != digest(content) for path, content in contents.items())
        self._written.append((set(contents), lambda outcome: answer({**vars(outcome), "written": written})))
        # After the requests that are here already: a reload takes much longer than to write their files.
        self._events.call_later("written", 0.0, self._reload)

    def _reload(self) -> None:
        written, self._written = self._written, []

        def answer(outcome: Outcome) -> None:
            for _, take in written:
                take(outcome)

        self._reloader.reload(set().union(*(paths for paths, _ in written)), answer)

    def digests(self, below: object, after: object) -> dict[str, Any]:
        """Return the digests of all files below a folder, in their order by name: a page of them, after a file."""
        if not isinstance(below, str) or not isinstance(after, str):
            raise RefusalError("below and after are paths")
        folder = _path(below)
        self._check_way(folder / "all")
        files: dict[str, Digest | None] = {}
        size = 0
        for name in sorted(name for name in map(str, listing(folder)) if name > after):
            if size > _PAGE:
                return {"files": files, "more": True}
            # As it is: the end of a write that is under way is told by itself.
            files[name] = digest_at(Path(name), at_once=True)
            size += len(json.dumps([name, files[name]]))
        return {"files": files, "more": False}

    def describe(self) -> dict[str, Any]:
        """Return the state of all processes."""
        return self._reloader.describe()

    def forget(self, stream: ControlStream) -> None:
        """Note that a stream has ended; after the last one every content is as good as another."""
        self._streams.discard(stream)
        if not any(other.is_admitted for other in self._streams):
            self._token = None
            self._deliveries.clear()
            self._foreign.clear()

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # it has hung up already, or there are too many open files
            return
        self._streams.add(ControlStream(connection, self, self._events))

    def _check(self, change: object) -> tuple[Path, Content]:
        if not isinstance(change, dict) or not isinstance(change.get("path"), str):
            raise RefusalError("a change has no path")
        path = _path(change["path"])
        self._check_way(path)
        # A link is replaced or deleted itself, never what it leads to.
        if is_folder(path) and not is_link(path):
            raise RefusalError(f"{path} is a folder")
        return path, _content(path, change)

    def _check_way(self, path: Path) -> None:
        """Refuse what is not in one of the roots, or only by way of a link."""
        root = next((root for root in self._roots if root in path.parents), None)
        if root is None or ".." in path.parts:
            raise RefusalError(f"{path} is outside the reload directories")
        between = list(path.parents)
        if any(part.is_symlink() for part in between[: between.index(root)]):
            raise RefusalError(f"{path} goes through a symbolic link")


def _path(name: str) -> Path:
    """Return the path of that name, which need not be text: surrogates stand for other bytes, as os.fsdecode() does."""
    if "\0" in name:
        raise RefusalError("a path holds a null byte")
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        raise RefusalError("a path is no file name") from None
    return Path(name)


def _content(path: Path, change: dict[str, Any]) -> Content:
    if change.get("deleted") is True:
        return None
    if (target := change.get("link")) is not None:
        if not isinstance(target, str) or not target:
            raise RefusalError(f"the link {path} leads nowhere")
        return Link(str(_path(target)))
    try:
        content = base64.b64decode(change["content"], validate=True)
    except (KeyError, TypeError, ValueError):
        raise RefusalError(f"the content of {path} is not base64") from None
    if len(content) > MAXIMUM_BYTES:
        raise RefusalError(f"{path} has {len(content)} bytes, {MAXIMUM_BYTES} are allowed")
    return content


def _listen(path: Path) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        path.unlink(missing_ok=True)
        listening.bind(str(path))
    except OSError as error:
        raise SettingsError(f"--control: cannot listen on {path}: {error.strerror or error}") from None
    finally:
        os.umask(before)
    listening.listen()
    listening.setblocking(False)
    return listening
