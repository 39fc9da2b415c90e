"""Which files change, told as soon as a save is finished. Linux only."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from warmfork.report import log
from warmfork.snapshot.folders import (
    ENVIRONMENT_MARKS,
    Listing,
    decisive_places,
    files_below,
    is_file,
    is_folder,
    is_link,
    is_skipped,
    is_there,
    leads_to_folder,
    list_folder,
    walk,
)
from warmfork.watching.git_lock import GitLocks
from warmfork.watching.inotify import (
    ATTRIB,
    CREATE,
    DELETE,
    IGNORED,
    IS_FOLDER,
    MODIFY,
    MOVED_FROM,
    MOVED_TO,
    OVERFLOW,
    WatchError,
)
from warmfork.watching.unreadable import UnreadableFolders
from warmfork.watching.watches import Change, Extent, Watches

__all__ = ["WatchError", "Watcher", "files_below"]

_APPEARED, _GONE = CREATE | MOVED_TO, MOVED_FROM | DELETE
# Seconds without a further event that end a change, and the longest that a change may go on being one.
_QUIET = 0.002
_BURST = 0.05
# Seconds between two looks at git's lock while git is at work.
_GIT_PAUSE = 0.02


class Watcher:
    """Watches folders: whole trees, or single folders without what is below them.

    They may go and come, and links in them lead elsewhere. The descriptor becomes readable when something has changed;
    read() then tells what.
    """

    def __init__(
        self,
        trees: list[Path],
        folders: list[Path] | None = None,
        report: Callable[[str], None] = log,
    ) -> None:
        """Begin to watch. Raises WatchError."""
        self._watches = Watches(report)
        self._report = report
        self._git = GitLocks(report)
        # What was asked for.
        self._roots: dict[Path, Extent] = {}
        # Roots and links, by the places that decide where they lead to, and the other way round.
        self._dependents: dict[Path, set[Path]] = {}
        self._places: dict[Path, list[Path]] = {}
        self._unreadable = UnreadableFolders()
        # Files that somebody is writing: the end of that will be told as well.
        self._unfinished: set[Path] = set()
        # What read() has still to tell.
        self._waiting: set[Path] = set()
        self._newest_change = 0.0
        self._is_deferred = False
        for tree in trees:
            self._add_root(tree, Extent.TREE)
        for folder in folders or ():
            self._add_root(folder, Extent.FILES)

    def fileno(self) -> int:
        """Return the descriptor, for selectors."""
        return self._watches.fileno()

    def close(self) -> None:
        """Stop watching."""
        self._watches.close()

    def add_folder(self, path: Path) -> None:
        """Watch one more folder, without what is below it, from when it is there; nothing when it is watched already.

        read() tells what is in it by then.
        """
        self._waiting.update(self._add_root(path.absolute(), Extent.FILES))

    def read(self) -> set[Path]:
        """Return the files that were written, moved or deleted since the last call; empty when there are none.

        Waits some milliseconds for the end of a burst, as of an editor that saves several files. While git rewrites
        files nothing is told yet, and again_in says when to ask again. A file that is being written again is left to a
        later call.
        """
        self._take()
        self._is_deferred = False
        if not self._waiting:
            return set()
        end = time.monotonic() + _BURST
        while not self._is_git_at_work() and time.monotonic() < end and self._watches.wait(_QUIET):
            self._take()
        self._is_deferred = self._is_git_at_work()
        if self._is_deferred:
            return set()
        self._git.forget()
        paths, self._waiting = self._waiting - self._unfinished, set()
        return paths

    @property
    def again_in(self) -> float | None:
        """Seconds until read() is to be called although the descriptor may not be readable; None when that tells."""
        if self._waiting:
            return _GIT_PAUSE if self._is_deferred else 0.0
        return self._watches.due_in

    def is_being_written(self, path: Path) -> bool:
        """Tell whether somebody has begun to write the file and has not ended; what was read of it may be a half."""
        self._take()
        return path in self._unfinished

    def _is_git_at_work(self) -> bool:
        return self._git.is_at_work(time.monotonic() - self._newest_change)

    # --- what happens

    def _take(self) -> None:
        for change in self._watches.read():
            self._newest_change = time.monotonic()
            new = set(self._interpret(change)) - self._waiting
            self._waiting |= new
            self._git.expect({path.parent for path in new})

    def _interpret(self, change: Change) -> Iterator[Path]:
        if change.mask & OVERFLOW:
            yield from self._everything()
        elif change.mask & IGNORED:
            for place in [place for place in self._dependents if change.path in {place, place.parent}]:
                yield from self._renew_dependents(place)
        elif change.name:
            yield from self._interpret_name(change.mask, change.path, change.path / change.name)
        elif not change.mask & IS_FOLDER:
            yield from self._interpret_file(change.mask, change.path)
        elif change.mask & ATTRIB and self._unreadable.has_become_readable(change.path):
            yield from self._renew_below(change.path)

    def _interpret_name(self, mask: int, folder: Path, path: Path) -> Iterator[Path]:
        if mask & ATTRIB and path in self._watches.extents:
            # It tells that itself.
            return
        if mask & ATTRIB and self._unreadable.has_become_readable(path):
            # As good as new.
            mask |= CREATE
        if mask & (_APPEARED | _GONE):
            is_dependent = path in self._dependents.get(path, ())
            yield from self._renew_dependents(path)
            if is_dependent:
                return
        extent = self._watches.extents.get(folder, Extent.PLACES)
        if extent is Extent.TREE and mask & _APPEARED and path.name in ENVIRONMENT_MARKS and folder not in self._roots:
            # The folder turns out to be a virtual environment.
            yield from self._forget(folder)
        elif extent is Extent.TREE and mask & IS_FOLDER:
            yield from self._interpret_folder(mask, path)
        elif extent is Extent.FILES and mask & IS_FOLDER:
            # As the record of an installed package.
            yield path
        elif extent is not Extent.PLACES:
            yield from self._renew(path) if mask & _APPEARED and is_link(path) else self._interpret_file(mask, path)

    def _interpret_folder(self, mask: int, folder: Path) -> Iterator[Path]:
        if mask & _GONE:
            yield from self._forget(folder)
        elif (mask & _APPEARED or folder not in self._watches.extents) and not is_skipped(folder):
            # Itself as well, for somebody may have listed the folder that it is in.
            yield folder
            yield from self._watch_tree(folder)

    def _interpret_file(self, mask: int, path: Path) -> Iterator[Path]:
        if mask & MODIFY:
            self._unfinished.add(path)
            return
        if mask & (_GONE | MOVED_TO):
            self._watches.remove_file(path)
        has_further_names = not mask & _GONE and self._watches.add_file(path)
        if mask & ATTRIB:
            yield path
        elif not mask & CREATE or has_further_names:
            # A file that was created is told again when it is closed; a further name of one is complete at once.
            self._unfinished.discard(path)
            yield path

    def _everything(self) -> Iterator[Path]:
        """Yield all that may have changed when events were lost: folders too, for what is no longer in them."""
        self._unfinished.clear()
        for root in list(self._roots):
            yield from self._renew(root)

    def _renew_below(self, folder: Path) -> Iterator[Path]:
        """Yield what may have changed in a folder, and in roots below it, while nobody could look."""
        for root in [root for root in self._roots if folder in (root, *root.parents)]:
            yield from self._renew(root)
        if self._watches.extents.get(folder) is Extent.TREE and folder not in self._roots:
            yield from self._watch_tree(folder)

    # --- what is watched

    def _add_root(self, path: Path, extent: Extent) -> list[Path]:
        if self._roots.get(path, self._watches.extents.get(path, 0)) >= extent:
            return []
        self._roots[path] = extent
        found = self._renew(path)
        if is_folder(path) and path not in self._watches.extents:
            self._unreadable.add(path)
            self._report(f"{path} may not be read, so what changes there is not noticed")
        return found

    def _renew_dependents(self, place: Path) -> Iterator[Path]:
        for path in sorted(self._dependents.get(place, ())):
            # An earlier one may have ended this one.
            if path in self._places:
                yield from self._renew(path)

    def _renew(self, path: Path) -> list[Path]:
        """Watch what a root or a link leads to now; return it, and the files that are in it."""
        found = [path, *self._forget(path)]
        is_root = path in self._roots
        extent = self._roots.get(path) or self._watches.extents.get(path.parent, Extent.PLACES)
        is_followed = is_root or _is_followed(path, extent)
        if is_root or (is_followed and is_link(path)):
            self._depend(path)
        if not is_folder(path):
            self._watches.add_file(path)
        elif is_followed:
            found += self._watch_tree(path) if extent is Extent.TREE else self._watch_files(path)
        return found

    def _depend(self, path: Path) -> None:
        """Notice when a root or a link comes to lead elsewhere."""
        self._release(path)
        waiting = decisive_places(path)
        self._places[path] = []
        while waiting:
            place = waiting.pop()
            self._places[path].append(place)
            self._dependents.setdefault(place, set()).add(path)
            if not self._watches.add(place.parent, Extent.PLACES) and place.parent != place:
                # It may be that which is in the way.
                self._unreadable.add(place.parent)
                waiting.append(place.parent)

    def _watch_tree(self, tree: Path) -> list[Path]:
        """Watch the tree; return the files that are already in it."""
        return [path for folder, listing in walk(tree, self._enter) for path in self._found(folder, listing)]

    def _watch_files(self, folder: Path) -> list[Path]:
        """Watch the folder alone; return the files that are already in it."""
        return self._found(folder, list_folder(folder)) if self._watches.add(folder, Extent.FILES) else []

    def _enter(self, folder: Path) -> Listing | None:
        # Watched first and listed then, so that nothing falls between.
        if not self._watches.add(folder, Extent.TREE):
            return None
        listing = list_folder(folder)
        if listing.is_environment and folder not in self._roots:
            self._watches.forget(folder)
            return None
        return listing

    def _found(self, folder: Path, listing: Listing) -> list[Path]:
        """Watch where the links lead to, and files with further names; return all that are no folders."""
        extent = self._watches.extents.get(folder, Extent.PLACES)
        for link in (folder / name for name in listing.links):
            if _is_followed(link, extent):
                self._depend(link)
        for name in (*listing.links, *listing.hard_links):
            self._watches.add_file(folder / name)
        return [folder / name for name in (*listing.files, *listing.links)]

    def _release(self, path: Path) -> None:
        for place in self._places.pop(path, ()):
            self._dependents[place].discard(path)
            if not self._dependents[place]:
                del self._dependents[place]

    def _forget(self, path: Path) -> list[Path]:
        """Stop watching what was there, and all below it; return it, and the files in roots below that are there."""
        below = [root for root in self._roots if path in root.parents]
        if path in self._watches.extents or below:
            self._watches.forget(path)
            ended = [known for known in self._places if known not in self._roots and path in (known, *known.parents)]
        else:
            ended = [path] if path in self._places else []
        self._watches.remove_file(path)
        for known in ended:
            self._release(known)
        return [path, *(found for root in below for found in self._renew(root))]


def _is_followed(path: Path, extent: Extent) -> bool:
    """Tell whether something in a folder of that extent is to be watched: no device, and only in a tree a folder."""
    if is_folder(path):
        return extent is Extent.TREE and not is_skipped(path) and (not is_link(path) or leads_to_folder(path))
    # A link may lead nowhere yet.
    return is_file(path) or not is_there(path)
