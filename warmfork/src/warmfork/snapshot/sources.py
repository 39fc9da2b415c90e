"""The application's files as they were last seen: contents, and code objects compiled from them.

All children import from here and never from bytecode files, whose validity is judged by whole seconds and sizes. So two
saves within a second are two versions, and a child sees one state of all files, whatever is saved meanwhile.
"""

import hashlib
import marshal
import os
import signal
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import CodeType

from warmfork.snapshot.folders import files_below, files_in, is_file, is_folder, is_link, is_skipped, real_path
from warmfork.snapshot.patterns import Patterns, included_folders, with_folders
from warmfork.snapshot.reading import BeingWrittenError, read_as_it_is, read_whole
from warmfork.snapshot.signature import names, signature
from warmfork.snapshot.statements import Named, Statements

# Seconds; a file that somebody has had open for writing for so long is taken as it is, for a log or a database is
# never complete.
_LONGEST_WRITE = 1.0
# Bytes of a file that is no Python; a larger one, as a trained model, is known by its size and times.
_LARGEST = 1 << 22


@dataclass(frozen=True, eq=False)
class Source:
    """One file; Python ones have code or the error that compiling them gave. named: by the module that it is."""

    path: Path
    digest: bytes
    content: bytes = field(repr=False, default=b"")
    code: CodeType | None = field(repr=False, default=None)
    error: Exception | None = None
    named: dict[str, Named] = field(repr=False, default_factory=dict)

    @cached_property
    def statements(self) -> Statements:
        """What the file's text says of the modules that it imports."""
        return Statements.of(self.content)


class Sources:
    """A snapshot of the files that cause a reload."""

    def __init__(
        self,
        trees: list[Path],
        folders: list[Path],
        includes: Iterable[str],
        excludes: Iterable[str],
    ) -> None:
        """Read and compile what is there. Of folders only the files directly in them count, and no Python files.

        From now on this process ignores SIGIO.
        """
        signal.signal(signal.SIGIO, signal.SIG_IGN)
        self.trees = trees
        # Files that somebody was writing when they were last looked at, and since when.
        self._unfinished: dict[Path, float] = {}
        self._folders = frozenset(folders)
        self._here = Path.cwd()
        includes = list(includes)
        self._includes = Patterns(with_folders(includes, [self._here, *trees]), self._here)
        self._excludes = Patterns(excludes, self._here)
        self._included_folders = included_folders(includes, trees)
        self._files: dict[Path, Source] = {}
        self._by_name: dict[str, Source] = {}
        self._total = 0
        # What the application has read while it was imported: files, and the names in folders.
        self._followed: set[Path] = set()
        # What it writes itself: no reason for a reload.
        self._written: set[Path] = set()
        self._listings: dict[Path, frozenset[str]] = {}
        self._links: set[Path] = set()
        # Whether a folder belongs to the application, as long as no folder changes.
        self._is_inside: dict[Path, bool] = {}
        # As files were before what has changed since the last settle().
        self._replaced: dict[str, Source | None] = {}
        # Every folder above a known file, as long as no file comes or goes.
        self._above: frozenset[Path] | None = None
        found = [path for tree in trees for path in files_below(tree)]
        found += [path for folder in folders for path in files_in(folder)]
        for folder, is_tree in self._included_folders:
            found += files_below(folder) if is_tree else files_in(folder)
        self.refresh(found)

    def refresh(self, paths: Iterable[Path]) -> set[Path]:
        """Read the files again; return those whose content is not what it was, appeared or disappeared.

        A file that somebody is writing is left as it was, and read by a later call, whatever that is called with.
        """
        changed = set()
        self._is_inside.clear()
        paths = self._with_links({*paths, *self._unfinished})
        # Told of a path that is no known file: a new one, or a folder that was moved or deleted with what was in it.
        if gone := (paths - self._files.keys()) & self._folders_above():
            paths |= {known for known in self._files if not gone.isdisjoint(known.parents)}
        for path in paths:
            if path in self._files or self.concerns(path):
                changed |= self._update(path)
        for folder in {path.parent for path in paths} & self._listings.keys():
            if (listing := names(str(folder))) != self._listings[folder]:
                self._listings[folder] = listing
                changed.add(folder)
        return changed

    def follow(self, signatures: Mapping[str, list[int]]) -> set[Path]:
        """Count what the application has read as its own; return what has changed since.

        signatures: of files and folders, as they were when they were read.
        """
        changed = set()
        for name, before in signatures.items():
            path = Path(name)
            if self._is_excluded(path) or path in self._written:
                continue
            if is_folder(path):
                self._listings.setdefault(path, names(name))
            elif path not in self._files and self.concerns(path):
                # It was just being written when all were read, so what was executed has missed it.
                changed |= self._update(path)
            elif path not in self._files:
                self._followed.add(path)
                self._update(path)
            if signature(name) != before:
                changed.add(path)
        return changed

    def leave(self, path: Path) -> None:
        """Count no longer as the application's what it has read, for it writes it itself."""
        self._written.add(path)
        self._followed.discard(path)
        self._listings.pop(path, None)
        if not self.concerns(path):
            self._put(path, None)

    def is_followed(self, path: Path) -> bool:
        """Tell whether it counts only because the application has read it while it was imported."""
        return path in self._followed or path in self._listings

    def concerns(self, path: Path) -> bool:
        """Tell whether a change of the file would cause a reload."""
        if path in self._followed:
            return True
        if self._is_excluded(path):
            return False
        if self.is_below(path):
            if path.name.endswith(".py"):
                # Editors keep their locks and backups in hidden files.
                return not path.name.startswith(".")
            return self._includes.match(path)
        if path.parent in self._folders:
            return self._includes.match(path)
        places = (
            folder == path.parent or (is_tree and folder in path.parents) for folder, is_tree in self._included_folders
        )
        return any(places) and self._includes.match_path(path)

    def is_below(self, path: Path) -> bool:
        """Tell whether the file lies in one of the trees, and not in a tool's folder there."""
        folder = path.parent
        if folder not in self._is_inside:
            self._is_inside[folder] = self._belongs(folder)
        return self._is_inside[folder]

    @property
    def is_complete(self) -> bool:
        """Whether no file was being written when refresh() looked at it."""
        return not self._unfinished

    def get(self, path: Path) -> Source | None:
        """Return the file as last seen, whatever links the path goes through."""
        return self._files.get(path) or self._files.get(real_path(path))

    def find(self, name: str) -> Source | None:
        """Return the file of this path as last seen."""
        return self._by_name.get(name)

    def has_data(self, name: str) -> bool:
        """Tell whether there is a file of this path, and no Python in it."""
        return not name.endswith(".py") and name in self._by_name

    def replaced(self, name: str) -> Source | None:
        """Return the file of this path as it was at the last settle(), if it has changed since."""
        return self._replaced.get(name)

    def acts_newly(self, names: Iterable[str]) -> bool:
        """Tell whether one of these files has come to change what others see, which was imported ahead without that."""
        changed = ((self.replaced(name), self.find(name)) for name in names)
        return any(now and now.statements.acts and not (before and before.statements.acts) for before, now in changed)

    def settle(self) -> None:
        """Take note that the present state of all files is served."""
        self._replaced.clear()

    def is_left_out(self, name: str) -> bool:
        """Tell whether there is a file of this path that is not to cause a reload."""
        path = Path(name)
        return self._is_excluded(path) and is_file(path)

    @property
    def digest(self) -> str:
        """12 hexadecimal digits over names and contents of all Python files."""
        return f"{self._total:012x}"

    def pack(self, paths: Iterable[Path]) -> bytes:
        """Return the files' present states, for unpack() in another process."""
        return marshal.dumps([(str(path), self._packed(path)) for path in paths])

    def unpack(self, packed: bytes) -> None:
        """Take over what another process packed."""
        for name, state in marshal.loads(packed):  # noqa: S302 - from the parent
            self._put(Path(name), Source(Path(name), *state) if state else None)

    def _belongs(self, folder: Path) -> bool:
        between = [folder, *folder.parents]
        tree = next((tree for tree in self.trees if tree in between), None)
        if tree is not None:
            return not any(is_skipped(part) for part in between[: between.index(tree)])
        # An import path may go through a link.
        real = real_path(folder)
        return real != folder and self._belongs(real)

    def _is_excluded(self, path: Path) -> bool:
        if not self._excludes:
            return False
        above = next((folder for folder in (*self.trees, self._here) if folder in path.parents), path.parent)
        return self._excludes.match_with_folders(path, above)

    def _folders_above(self) -> frozenset[Path]:
        if self._above is None:
            folders = {path.parent for path in self._files}
            self._above = frozenset(folders).union(*(folder.parents for folder in folders))
        return self._above

    def _with_links(self, paths: Iterable[Path]) -> set[Path]:
        """Return the files, and the links that lead to one of them."""
        named = set(paths)
        # Not resolve(), which raises an error for a link that leads to itself.
        return named | {link for link in self._links if real_path(link) in named}

    def _packed(self, path: Path) -> tuple[bytes, bytes, CodeType | None] | None:
        source = self._files.get(path)
        return (source.digest, source.content, source.code) if source else None

    def _update(self, path: Path) -> set[Path]:
        before = self._files.get(path)
        self._links.discard(path)
        if is_link(path):
            self._links.add(path)
        since = self._unfinished.pop(path, time.monotonic())
        try:
            if path.suffix != ".py" and path.stat().st_size > _LARGEST:
                content = repr(signature(str(path))).encode()
            else:
                content = read_as_it_is(path) if time.monotonic() - since > _LONGEST_WRITE else read_whole(path)
        except BeingWrittenError:
            self._unfinished[path] = since
            return set()
        except OSError:
            return self._replace(path, before, None)
        digest = hashlib.sha256(content).digest()
        if before and before.digest == digest:
            return set()
        source = _python(path, digest, content) if path.suffix == ".py" else Source(path, digest)
        return self._replace(path, before, source)

    def _replace(self, path: Path, before: Source | None, source: Source | None) -> set[Path]:
        """Put a file's new state in place of the one before; return it if there is a difference."""
        self._put(path, source)
        if before is source:
            return set()
        self._replaced.setdefault(str(path), before)
        return {path}

    def _put(self, path: Path, source: Source | None) -> None:
        before = self._files.get(path)
        if (source is None) is not (before is None):
            self._above = None
        self._total ^= _share(before) ^ _share(source)
        if source:
            self._files[path] = self._by_name[str(path)] = source
        else:
            self._files.pop(path, None)
            self._by_name.pop(str(path), None)


def _share(source: Source | None) -> int:
    """Return what a file adds to the digest of all. Whatever their order, the sum of all is the same."""
    if source is None or source.path.suffix != ".py":
        return 0
    return int.from_bytes(hashlib.sha256(os.fsencode(source.path) + b" " + source.digest).digest()[:6])


def _python(path: Path, digest: bytes, content: bytes) -> Source:
    try:
        return Source(path, digest, content, compile_source(content, path))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as failure:
        # The stack of this process says nothing about the file.
        return Source(path, digest, content, error=failure.with_traceback(None))


def compile_source(content: bytes, path: Path) -> CodeType:
    """Compile a module's text."""
    return compile(content, str(path), "exec", dont_inherit=True)
